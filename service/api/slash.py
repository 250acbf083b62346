"""Paths with one slash too many: their clients are led to the right one, wherever a proxy has put it."""

import re
from http import HTTPStatus
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.paths import OTHER, endpoint_of
from service.metrics import RequestTally

_FOLDED = re.compile(r"/\.{1,2}/")  # clients fold such parts of a path


class SlashMiddleware:
    """Redirects by an address that is relative, since the service knows neither the scheme nor the prefix of a proxy.

    A DELETE is not redirected: clients that fold paths make `DELETE /sessions/{id}/` of
    `DELETE /sessions/{id}/checkpoints/..`, which would end the session.
    """

    def __init__(self, app: ASGIApp, tally: RequestTally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not path.endswith("/") or not _is_led_on(scope):
            await self._app(scope, receive, send)
            return
        self._tally.add(OTHER, HTTPStatus.TEMPORARY_REDIRECT, 0.0)
        await Response(status_code=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": _right(scope)})(
            scope, receive, send
        )


def _is_led_on(scope: Scope) -> bool:
    """Whether a path that ends with a slash is none, and would be one without it."""
    path = scope["path"]
    if scope["type"] != "http" or scope["method"] == "DELETE" or path.startswith("//") or _FOLDED.search(path):
        return False
    return endpoint_of(path) == OTHER and endpoint_of(path[:-1]) != OTHER and quote(path) == _sent(scope)


def _sent(scope: Scope) -> str:
    """The path as it was sent. An encoded slash in it would be one of the address that is led to."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.decode("latin-1")


def _right(scope: Scope) -> str:
    """The path without its last slash, as seen from the path with it."""
    last = quote(scope["path"][:-1].rpartition("/")[2])
    query = scope["query_string"].decode("latin-1")
    return f"../{last}?{query}" if query else f"../{last}"
