"""The second port on a real socket, over a process with sums for models, and clients of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from service.api.auth import AuthMiddleware
from service.api.cors import OriginMiddleware
from service.api.origins import Origins
from service.api.slash import SlashMiddleware
from service.api.steps.single_steps import SingleSteps
from service.fast_port.server import FastPort
from service.keys.keys import Keys
from service.settings import ServerSettings
from tests.fakes.asgi import MAX_BYTES, Surface
from tests.fakes.process import Process

HOST = "127.0.0.1"
ALLOWED_ORIGIN = "https://app.example"
STEP: dict[str, object] = {"inputs": {"ids": [1, 2, 3]}, "return": "none"}


class Connection:
    """A client's connection, bytes in and out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, path: str, body: bytes, *fields: str, method: str = "POST", version: str = "1.1") -> None:
        """Send a request with that body; its length is told unless the fields tell how it comes."""
        told = (
            fields
            if any("transfer-encoding" in field for field in fields)
            else (f"content-length: {len(body)}", *fields)
        )
        lines = [f"{method} {path} HTTP/{version}", "host: localhost", *told]
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)

    def step(self, session_id: str, *fields: str, **step: object) -> None:
        """Send a step."""
        self.send(f"/sessions/{session_id}/steps", orjson.dumps(STEP | step), *fields)

    async def pieces(self, *pieces: bytes) -> None:
        """Send bytes, each piece so that it arrives by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.02)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, fields and body of the next response."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.splitlines()
            fields = dict(line.split(": ", 1) for line in lines if line)
            if fields.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            else:
                body = await self.reader.readexactly(int(fields.get("content-length", "0")))
        return int(status.split()[1]), fields, body

    async def _chunks(self) -> bytes:
        body = b""
        while num_bytes := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(num_bytes + 2)
            body = body.removesuffix(b"\r\n")
        await self.reader.readline()
        return body

    async def is_over(self) -> bool:
        """Whether the server has closed its side, with nothing more to read."""
        async with asyncio.timeout(10):
            return await self.reader.read() == b""


class Port:
    """The port over a process.

    Attributes:
        surface: What is behind it.
        refusals: Statuses of the requests that neither the application nor a step was asked of.

    Args:
        process: What serves.
        keys: Who may call; None where everybody may.
        are_past_application: Whether single steps go past the application.
    """

    def __init__(self, process: Process, keys: Keys | None = None, are_past_application: bool = True) -> None:
        tally, self.refusals = process.metrics.requests_tally, list[int]()
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.number = free.getsockname()[1]
        self.surface = Surface(process)
        origins = Origins(ServerSettings(allowed_origins=ALLOWED_ORIGIN), needs_key=keys is not None)
        app = OriginMiddleware(SlashMiddleware(AuthMiddleware(self.surface.app, keys, tally), tally), origins, tally)
        single_steps = SingleSteps(process.steps, process.core.answer_room, keys, origins, tally, MAX_BYTES)
        past = single_steps if are_past_application else None
        self.server = FastPort(app, past, self.refusals.append, HOST, self.number, MAX_BYTES)

    async def listen(self) -> None:
        """Listen."""
        self.server.start()
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, self.number)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
        writer.close()

    @property
    def connections(self) -> set[Any]:
        """The server's protocols, one a connection."""
        return self.server._server.server_state.connections

    @property
    def config(self) -> uvicorn.Config:
        """The server's, for connections that are to come."""
        return self.server._server.config

    @asynccontextmanager
    async def connected(self, num_buffer_bytes: int = 0) -> AsyncIterator[Connection]:
        """A client's connection, whose kernel holds about so many bytes that nobody reads."""
        client = await self._connect(num_buffer_bytes)
        connection = Connection(*await asyncio.open_connection(sock=client))
        try:
            yield connection
        finally:
            connection.writer.close()

    @asynccontextmanager
    async def stream(self, token: str = "", num_buffer_bytes: int = 0) -> AsyncIterator[ClientConnection]:
        """A client's stream, likewise."""
        fields = {"authorization": f"Bearer {token}"} if token else {}
        client = await self._connect(num_buffer_bytes)
        async with connect(
            f"ws://{HOST}/stream",
            sock=client,
            additional_headers=fields,
            compression=None,
            close_timeout=1,
            ping_interval=None,
        ) as opened:
            yield opened

    async def _connect(self, num_buffer_bytes: int) -> socket.socket:
        client = socket.socket()
        if num_buffer_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, num_buffer_bytes)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (HOST, self.number))
        return client
