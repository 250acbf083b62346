"""The id that a client or a proxy gave a request (`X-Request-ID`): its answer and what is logged of it bear it, too.

None is made up: nginx, Envoy and most gateways give one to each request.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = b"x-request-id"
_ID = re.compile(rb"[!-~]{1,128}")  # visible characters alone: nothing that would end a line of the log
_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The id of a request, by its header fields. Empty where there is none, or none that can be repeated."""
    for name, value in headers:
        if name == REQUEST_ID:
            return value if _ID.fullmatch(value) else b""
    return b""


def of_this_request() -> str:
    """What a line of the log ends with, so that it can be found by the id. Empty where the request has none."""
    current = _current.get()
    return f" (request {current})" if current else ""


class RequestIdMiddleware:
    """Gives answers, refused handshakes among them, the id of their request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_id_of(scope["headers"])
        _current.set(request_id.decode())  # empty, too: the request before it on the connection may have left its own
        if not request_id:
            await self._app(scope, receive, send)
            return

        async def send_with_id(message: Message) -> None:
            if message["type"] in _STARTS:
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, request_id)]
            await send(message)

        await self._app(scope, receive, send_with_id)


_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
