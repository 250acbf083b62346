"""WebSockets on BentoML's port."""

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.config import WS_PROTOCOLS
from uvicorn.server import ServerState
from websockets.datastructures import Headers

from service.fast_port.messages import PatientProtocol, limit_messages

pytestmark = pytest.mark.anyio


async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError


async def test_bentomls_port_agrees_to_no_compression_and_has_the_limits_of_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(WS_PROTOCOLS, "auto", WS_PROTOCOLS["auto"])
    limit_messages(1000)
    config = uvicorn.Config(application, log_config=None)
    config.load()
    assert config.ws_protocol_class is not None
    protocol = config.ws_protocol_class(config=config, server_state=ServerState(), app_state={})  # type: ignore[call-arg]
    offered = Headers({"Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover"})
    assert protocol.conn.process_extensions(offered) == (None, [])  # type: ignore[attr-defined]
    assert isinstance(protocol, PatientProtocol)
    assert protocol.conn.max_message_size == 2000  # type: ignore[attr-defined]
