"""The id that a client or a proxy gave a request (`X-Request-ID`), repeated in its answer and in the log.

None is made up here: nginx, Envoy and most gateways give one to each request.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.headers import header

REQUEST_ID = b"x-request-id"
_ID = re.compile(rb"[!-~]{1,128}")  # visible characters only: nothing that could break a line of the log
_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the id in a request's header fields. Empty if there is none, or it is not safe to repeat."""
    value = header(headers, REQUEST_ID)
    return value if _ID.fullmatch(value) else b""


def log_suffix() -> str:
    """Return the end of a log line: the current request's id, to find it by. Empty if the request has none."""
    current = _current.get()
    return f" (request {current})" if current else ""


class RequestIdMiddleware:
    """Adds a request's id to its answer, even to a refused handshake."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_id_of(scope["headers"])
        _current.set(request_id.decode())  # even if empty: the connection's previous request may have left its own
        if not request_id:
            await self._app(scope, receive, send)
            return

        async def send_with_id(message: Message) -> None:
            if message["type"] in _STARTS:
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, request_id)]
            await send(message)

        await self._app(scope, receive, send_with_id)


_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
