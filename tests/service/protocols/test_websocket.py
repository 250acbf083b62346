"""WebSockets on BentoML's port, and what both ports refuse."""

import asyncio
from functools import partial
from typing import Any

import orjson
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.config import WS_PROTOCOLS
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode

from service.fast_port.channel_protocol import ChannelProtocol
from service.protocols.http import GuardedHttpProtocol
from service.protocols.websocket import GuardedWebSocketProtocol, use_guarded_websocket

pytestmark = pytest.mark.anyio

HANDSHAKE = (
    b"GET /stream HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Statuses that the protocol of BentoML's port has told."""
    told = list[int]()
    monkeypatch.setitem(WS_PROTOCOLS, "auto", WS_PROTOCOLS["auto"])
    use_guarded_websocket(told.append, 1000)
    return told


def new_protocol(of_port: Any = "auto") -> Any:  # noqa: ANN401  uvicorn's
    """As uvicorn makes one for each connection."""
    config = uvicorn.Config(application, log_config=None, ws=of_port)
    config.load()
    assert config.ws_protocol_class is not None
    return config.ws_protocol_class(config=config, server_state=ServerState(), app_state={})  # type: ignore[call-arg]


async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError


@pytest.mark.parametrize("protocol", [GuardedWebSocketProtocol, ChannelProtocol], ids=["bentomls", "second"])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.PING, Opcode.CLOSE])
async def test_a_frame_that_comes_with_the_handshake_is_refused(protocol: Any, opcode: Opcode) -> None:  # noqa: ANN401  uvicorn's
    config = uvicorn.Config(never, log_config=None, ws=partial(protocol, print, 1000))
    config.load()
    new = partial(GuardedHttpProtocol, print, config=config, server_state=ServerState(), app_state={})
    async with await asyncio.get_running_loop().create_server(new, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(HANDSHAKE + b"\r\n" + Frame(opcode, b"").serialize(mask=True))
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"a WebSocket's client must wait for the answer to its handshake" in answer


@pytest.mark.usefixtures("refusals")
@pytest.mark.parametrize("of_port", ["auto", partial(ChannelProtocol, print, 1000)], ids=["bentomls", "second"])
async def test_neither_port_agrees_to_compression_and_both_have_the_same_limits(of_port: Any) -> None:  # noqa: ANN401  uvicorn's
    protocol = new_protocol(of_port)
    offered = Headers({"Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover"})
    assert protocol.conn.process_extensions(offered) == (None, [])
    assert isinstance(protocol, GuardedWebSocketProtocol)
    assert protocol.conn.max_message_size == 2000


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"x: 1\r\n" * 200, 431),
        (b"upgrade: h2c\r\n", 426),
        (b"sec-websocket-protocol: a b\r\n", 400),
        (b"connection: a b\r\n", 400),
    ],
)
@pytest.mark.parametrize("port", ["bentomls", "second"])
async def test_what_websockets_refuses_is_refused_as_everything_and_counted(
    refusals: list[int], port: str, fields: bytes, status: int
) -> None:
    of_port = {"bentomls": "auto", "second": partial(ChannelProtocol, refusals.append, 1000)}[port]
    new = partial(new_protocol, of_port)
    async with await asyncio.get_running_loop().create_server(new, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(HANDSHAKE + fields + b"\r\n")
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head
    assert (b"upgrade: websocket" in head.lower()) is (status == 426)
    assert orjson.loads(body)["status"] == status
    assert refusals == [status]
