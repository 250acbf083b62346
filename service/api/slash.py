"""Redirects a path with a slash too many at its end, under whatever prefix a proxy serves it."""

import re
from http import HTTPStatus
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.paths import OTHER, label_of
from service.api.refusal_forms import plain_refusal
from service.metrics import RequestTally

_DOT_SEGMENT = re.compile(r"/\.{1,2}/")  # clients resolve such segments


class SlashMiddleware:
    """Redirects to a relative address, since the service knows neither a proxy's scheme nor its prefix.

    A DELETE is not redirected: clients that resolve `..` turn `DELETE /sessions/{id}/checkpoints/..` into
    `DELETE /sessions/{id}/`, which would end the session.
    """

    def __init__(self, app: ASGIApp, tally: RequestTally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not path.endswith("/") or not _is_redirected(scope):
            await self._app(scope, receive, send)
            return
        self._tally.add(OTHER, HTTPStatus.TEMPORARY_REDIRECT, 0.0)
        redirect = plain_refusal(path, HTTPStatus.TEMPORARY_REDIRECT)
        redirect.headers["Location"] = _location(scope)
        await redirect(scope, receive, send)


def _is_redirected(scope: Scope) -> bool:
    """Whether a path ends with a slash, is unknown, and would be known without the slash."""
    path = scope["path"]
    if scope["type"] != "http" or scope["method"] == "DELETE" or path.startswith("//") or _DOT_SEGMENT.search(path):
        return False
    return label_of(path) == OTHER and label_of(path[:-1]) != OTHER and quote(path) == _sent(scope)


def _sent(scope: Scope) -> str:
    """Return the path as it was sent. A slash that was encoded in it would become a real one in the redirect."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.decode("latin-1")


def _location(scope: Scope) -> str:
    """Return the path without its last slash, relative to the path with it."""
    last = quote(scope["path"][:-1].rpartition("/")[2])
    query = scope["query_string"].decode("latin-1")
    return f"../{last}?{query}" if query else f"../{last}"
