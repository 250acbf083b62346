"""Endpoints for operators: metrics, probes and the OpenAPI document."""

import functools
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.api import endpoints
from service.api.large_texts import compressed, revalidated
from service.api.media_types import JSON
from service.api.openapi import openapi_document
from service.api.problem import problem_response
from service.api.refusals import not_ready
from service.api.routes import Handlers
from service.metrics import Metrics

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class OperatorRoutes:
    """Handlers of the operators' endpoints.

    Args:
        metrics: Exposed at `/metrics`.
        measure: Updates the metrics before they are exposed.
        is_serving: Whether questions and steps are answered.
        needs_key: Whether callers must show an API key.
    """

    def __init__(
        self,
        metrics: Metrics,
        measure: Callable[[], Awaitable[None]],
        is_serving: Callable[[], bool],
        needs_key: bool,
    ) -> None:
        self._metrics = metrics
        self._measure = measure
        self._is_serving = is_serving
        self._document = _document(needs_key)

    def handlers(self) -> Handlers:
        """The handler of each endpoint."""
        return {
            endpoints.METRICS: self._exposition,
            endpoints.DOCUMENT: self._openapi,
            endpoints.HEALTHZ: self._live,
            endpoints.LIVEZ: self._live,
            endpoints.READYZ: self._ready,
        }

    async def _exposition(self, request: Request) -> Response:
        await self._measure()
        return await compressed(request, Response(await self._metrics.exposition(), media_type=EXPOSITION))

    async def _openapi(self, request: Request) -> Response:
        return await compressed(request, revalidated(request, self._document, JSON))

    async def _live(self, _: Request) -> Response:
        return Response()

    async def _ready(self, _: Request) -> Response:
        return Response() if self._is_serving() else problem_response(not_ready())


@functools.cache  # it takes half a second
def _document(needs_key: bool) -> bytes:
    return bytes(JSONResponse(openapi_document(needs_key)).body)  # orjson knows no integers above 2^64
