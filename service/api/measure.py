"""Counts requests and their durations by endpoint and status."""

import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.playground import UI, is_playground
from service.metrics import RequestTally

_SESSION = re.compile(r"^/sessions/[^/]+")
_CHECKPOINT = re.compile(r"/checkpoints/[^/]+$")
_MODEL = re.compile(r"^(/v1|/v2|/v2/repository)/models/[^/]+")
_VERSION = re.compile(r"^(/v2/models/{name}/versions)/[^/]+")
_OF_MODELS = ("", "/ready", "/config", "/infer")
KNOWN = frozenset(
    {
        "/sentiment",
        "/tag",
        "/translate",
        "/generate",
        "/caption",
        "/compose",
        "/forecast",
        "/models",
        "/sessions",
        "/sessions/{id}",
        "/sessions/{id}/steps",
        "/sessions/{id}/fork",
        "/sessions/{id}/rollback",
        "/sessions/{id}/migrate",
        "/sessions/{id}/state",
        "/sessions/{id}/checkpoints/{name}",
        "/sessions/import",
        "/steps",
        "/stream",
        "/v1/completions",
        "/v1/models",
        "/v1/models/{name}",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        *(f"/v2/models/{{name}}{own}" for own in _OF_MODELS),
        *(f"/v2/models/{{name}}/versions/{{version}}{own}" for own in _OF_MODELS),
        "/v2/repository/index",
        "/v2/repository/models/{name}/load",
        "/metrics",
        "/healthz",
        "/livez",
        "/readyz",
        "/docs.json",
        "/ui",
        "/",
    }
)


def endpoint_of(path: str) -> str:
    """The path with its ids taken out, and one name for all that is not served: labels must stay few."""
    if path in KNOWN:
        return path
    if is_playground(path):
        return UI
    endpoint = _CHECKPOINT.sub("/checkpoints/{name}", _SESSION.sub("/sessions/{id}", path))
    endpoint = _VERSION.sub(r"\1/{version}", _MODEL.sub(r"\1/models/{name}", endpoint))
    return endpoint if endpoint in KNOWN else "other"


class MeasureMiddleware:
    """Observes each HTTP request when its last byte has been handed over."""

    def __init__(self, app: ASGIApp, tally: RequestTally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            self._tally.add(endpoint_of(scope["path"]), status, time.perf_counter() - started)
