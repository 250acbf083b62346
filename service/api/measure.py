"""Counts requests and their durations by endpoint and status."""

import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics

_SESSION = re.compile(r"^/sessions/[^/]+")
KNOWN = frozenset(
    {
        "/sentiment",
        "/generate",
        "/forecast",
        "/models",
        "/sessions",
        "/sessions/{id}",
        "/sessions/{id}/steps",
        "/metrics",
        "/livez",
        "/readyz",
        "/docs.json",
        "/",
    }
)


def endpoint_of(path: str) -> str:
    """The path with its ids taken out, and one name for all that is not served: labels must stay few."""
    endpoint = _SESSION.sub("/sessions/{id}", path)
    return endpoint if endpoint in KNOWN else "other"


class MeasureMiddleware:
    """Observes each HTTP request when its last byte has been handed over."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        endpoint = endpoint_of(scope["path"])
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
            self._metrics.requests.labels(endpoint, str(status)).inc()
            self._metrics.request_duration.labels(endpoint).observe(time.perf_counter() - started)
