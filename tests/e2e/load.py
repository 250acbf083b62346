"""Clients that never give up: sessions driven over HTTP and WebSocket, each step named, whoever is killed."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import Close
from websockets.http11 import Response

from service.stores.base import Record
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from tests.e2e.asking import Json, ask, http_client
from tests.e2e.server import START_SECONDS, Server
from tests.waiting import until

TRY_AGAIN_SECONDS = 0.3
STEPS_SECONDS = 60
ANSWER_SECONDS = START_SECONDS  # the first port listens before a worker answers at it
MAX_STEPS = 5000
NUM_TOKENS = 1000
SESSIONS_A_STREAM = 25
RETRIED = 503


@dataclass
class Driven:
    """One session: what it is to read, and what it was answered so far."""

    session_id: str
    ids: list[int]
    logits: list[list[float]] = field(default_factory=list)

    @property
    def next_step(self) -> Json:
        """The step that has not been acknowledged yet."""
        number = len(self.logits)
        return {"step": number, "inputs": {"ids": [self.ids[number]]}, "return": "logits"}

    def take(self, answer: Json) -> None:
        """An answer that acknowledges the step."""
        assert answer["step"] == len(self.logits) + 1, answer
        self.logits += answer["outputs"]["logits"]


class Load:
    """Drives sessions in a thread of its own until the context is left.

    Attributes:
        setbacks: What made clients try again, and how often: the type of the problem of a 503, the close code of a
            WebSocket, or the error of a connection that broke or was refused.
    """

    def __init__(self, server: Server, num_http: int, num_stream: int) -> None:
        self._server = server
        self._sessions = _opened(server, num_http + num_stream)
        self._over_http = self._sessions[:num_http]
        self._over_stream = self._sessions[num_http:]
        self._is_over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._drive()))
        self._error: BaseException | None = None
        self.setbacks: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def acknowledged(self) -> dict[str, int]:
        """How many steps of each session were acknowledged. Raises what has ended the load, if anything has."""
        if self._error is not None:
            raise self._error
        return {each.session_id: len(each.logits) for each in self._sessions}

    def await_steps(self, count: int) -> None:
        """Wait until so many more steps were acknowledged."""
        goal = sum(self.acknowledged().values()) + count
        what = f"{count} more steps are acknowledged"
        until(lambda: sum(self.acknowledged().values()) >= goal, STEPS_SECONDS, what)

    def check(self) -> int:
        """Compare all that was answered with sessions that were never interrupted; how many steps that were."""
        with http_client(self._server.fast_url, timeout=120) as client:
            for driven in self._sessions:
                if driven.logits:
                    fresh = ask(client, "/sessions", {"model": "sentiment"})["session_id"]
                    body = {"inputs": {"ids": driven.ids[: len(driven.logits)]}, "return": "logits"}
                    expected = ask(client, f"/sessions/{fresh}/steps", body)["outputs"]["logits"]
                    assert driven.logits == expected, driven.session_id
        return sum(len(driven.logits) for driven in self._sessions)

    async def _drive(self) -> None:
        groups = [
            self._over_stream[start : start + SESSIONS_A_STREAM]
            for start in range(0, len(self._over_stream), SESSIONS_A_STREAM)
        ]
        clients = [self._client(url) for url in (self._server.url, self._server.fast_url)]
        urls = [self._server.stream_url, f"ws://127.0.0.1:{self._server.port}/stream"]
        try:
            async with asyncio.TaskGroup() as group:
                for n, driven in enumerate(self._over_http):
                    group.create_task(self._step_over_http(clients[n % 2], driven))
                for n, some in enumerate(groups):
                    group.create_task(self._step_over_stream(urls[n % 2], some))
        except BaseExceptionGroup as error:
            self._error = error
        finally:
            for client in clients:
                await client.aclose()

    def _client(self, url: str) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=32)
        return httpx.AsyncClient(base_url=url, verify=False, timeout=ANSWER_SECONDS, limits=limits)  # noqa: S501  there is no TLS

    async def _step_over_http(self, client: httpx.AsyncClient, driven: Driven) -> None:
        while not self._is_over and len(driven.logits) < MAX_STEPS:
            try:
                response = await client.post(f"/sessions/{driven.session_id}/steps", json=driven.next_step)
            except (httpx.NetworkError, httpx.ProtocolError) as error:
                await self._pause(error)
                continue
            answer = response.json()
            if self._is_taken(response.status_code, answer):
                driven.take(answer)
            else:
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    async def _step_over_stream(self, url: str, sessions: Sequence[Driven]) -> None:
        while not self._is_over:
            try:
                async with (
                    connect(url, compression=None, open_timeout=ANSWER_SECONDS, close_timeout=1) as connection,
                    asyncio.TaskGroup() as asking,
                ):
                    for n, driven in enumerate(sessions):
                        asking.create_task(_ask(connection, n, driven))
                    while not self._is_over:
                        answer = json.loads(await asyncio.wait_for(connection.recv(), ANSWER_SECONDS))
                        driven = sessions[answer["id"]]
                        is_taken = self._is_taken(answer["status"], answer.get("problem", answer))
                        if is_taken:
                            driven.take(answer)
                        if len(driven.logits) < MAX_STEPS:
                            pause = 0 if is_taken else TRY_AGAIN_SECONDS
                            asking.create_task(_ask(connection, answer["id"], driven, pause))
            except* TimeoutError:  # an OSError, but an answer that never comes is a fault
                raise
            except* (OSError, WebSocketException) as broken:
                await self._pause(*broken.exceptions)

    def _is_taken(self, status: int, answer: Json) -> bool:
        if status == RETRIED:
            self.setbacks[answer["type"]] += 1
            return False
        assert status == 200, answer
        return True

    async def _pause(self, *errors: Exception) -> None:
        self.setbacks.update(map(_setback, errors))
        await asyncio.sleep(TRY_AGAIN_SECONDS)


def stored_steps(server: Server, session_ids: list[str]) -> dict[str, int]:
    """The next step of each session, as the store has it, whoever serves or does not."""

    async def load() -> dict[str, int]:
        store = LmdbStore(server.home / "sessions", Limits())
        records = await store.load(session_ids)
        await store.close()
        return {record.session_id: record.step for record in records if isinstance(record, Record)}

    return asyncio.run(load())


def _opened(server: Server, count: int) -> list[Driven]:
    sequences = np.random.default_rng(count).integers(0, NUM_TOKENS, (count, MAX_STEPS)).tolist()
    with http_client(server.fast_url) as client:
        return [Driven(ask(client, "/sessions", {"model": "sentiment"})["session_id"], ids) for ids in sequences]


def _setback(error: Exception) -> str:
    match error:
        case ConnectionClosed(rcvd=Close(code=code)):
            return f"closed with {code}"
        case InvalidStatus(response=Response(status_code=503, body=body)) if body:
            return str(json.loads(body)["type"])
    return type(error).__name__


async def _ask(connection: ClientConnection, number: int, driven: Driven, pause: float = 0) -> None:
    """Send a session's next step, unless the connection is closed: what was answered before is still to be read."""
    await asyncio.sleep(pause)
    with contextlib.suppress(ConnectionClosed):
        await connection.send(json.dumps({"id": number, "session_id": driven.session_id, **driven.next_step}))
