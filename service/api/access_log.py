"""The access log: a line for each request once its last byte is sent, and for each connection to `/stream` at its end.

127.0.0.1 "POST /sessions" 201 187 bytes 0.8 ms, owner alice, request 7f3c
127.0.0.1 "WS /stream" 101 60000.0 ms, owner alice
"""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.auth import known_owner
from service.api.request_id import request_id_of
from service.keys.keys import ANONYMOUS

logger = logging.getLogger(__name__)

_SWITCHING_PROTOCOLS = 101


class AccessLogMiddleware:
    """Logs each request, without queries and bodies, which may be confidential."""

    def __init__(self, app: ASGIApp) -> None:
        logger.setLevel(logging.INFO)  # even if the server logs warnings only
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(scope, send)
        try:
            await self._app(scope, receive, request.send)
        finally:
            request.log()


class _Request:
    """What is known about a request so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._started = time.perf_counter()
        self._status = 500  # what the server sends if the application sends nothing
        self._num_body_bytes = 0

    async def send(self, message: Message) -> None:
        """Pass a message on, and note its status and size."""
        if message["type"] == "websocket.accept":
            self._status = _SWITCHING_PROTOCOLS
        self._status = message.get("status", self._status)
        self._num_body_bytes += len(message.get("body", b""))
        await self._send(message)

    def log(self) -> None:
        """Write the line."""
        scope = self._scope
        client, owner, request_id = scope.get("client"), known_owner(scope), request_id_of(scope["headers"])
        logger.info(
            '%s "%s %s" %d%s %.1f ms%s%s',
            client[0] if client else "-",
            scope.get("method", "WS"),
            _sent_path(scope),
            self._status,
            f" {self._num_body_bytes} bytes" if scope["type"] == "http" else "",
            1e3 * (time.perf_counter() - self._started),
            f", owner {owner}" if owner != ANONYMOUS else "",
            f", request {request_id.decode()}" if request_id else "",
        )


def _sent_path(scope: Scope) -> str:
    """The path as it was sent. Decoded, it could contain a line break."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("ascii", "backslashreplace")
