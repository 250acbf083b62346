"""Counts requests and their durations by endpoint and status."""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.client_watch import CLIENT_CLOSED_REQUEST
from service.api.paths import label_of
from service.metrics import RequestTally

COUNTED_STATUS = "unrolled.counted_status"  # in the scope, where it differs from the status that was sent


class MeasureMiddleware:
    """Counts each HTTP request once its last byte has been sent."""

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
        except asyncio.CancelledError:  # its body comes too slowly, or the service stops
            status = CLIENT_CLOSED_REQUEST
            raise
        finally:
            status = scope.get(COUNTED_STATUS, status)
            self._tally.add(label_of(scope["path"]), status, time.perf_counter() - started)
