"""Refusals of WebSocket connections."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

POLICY_VIOLATION = 1008


async def refuse(response: Response, reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a handshake with a response.

    Servers without ASGI's "websocket.http.response" extension cannot send one: they are told to close the connection,
    and answer 403 without a body.
    """
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", ()):
        await response(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})


async def accept_and_close(subprotocol: str, code: int, reason: str, receive: Receive, send: Send) -> None:
    """Close a connection as soon as it is accepted, because a browser does not tell a page why a handshake failed."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
    await send({"type": "websocket.close", "code": code, "reason": reason})
