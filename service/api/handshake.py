"""Refusals of WebSocket connections, before they are accepted."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_POLICY_VIOLATION = 1008


async def refuse(response: Response, reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a handshake with a response, or, where the server cannot, with a close, of which it makes a bare 403."""
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", ()):
        await response(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason})
