"""The BentoML service: wiring only.

BentoML worker ─► middleware (measure, body, disconnect, problems) ─┬─► /sentiment /generate /forecast   BentoML APIs
                                                              └─► /sessions /models /metrics       plain routes
"""

import asyncio
import gc
import logging
import sys
from typing import Any, cast

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api.body import BodyMiddleware
from service.api.disconnect import DisconnectMiddleware
from service.api.inference import Inference
from service.api.log import leave_out_client_errors
from service.api.measure import MeasureMiddleware
from service.api.models import ModelRoutes
from service.api.openapi import merged
from service.api.problem import ProblemMiddleware, answers_problems
from service.api.sessions import SessionRoutes
from service.catalog import Catalog, configured_bundles
from service.forms import (
    ForecastAnswer,
    ForecastRequest,
    GenerateAnswer,
    GenerateRequest,
    SentimentAnswer,
    SentimentRequest,
)
from service.metrics import Metrics
from service.parent import die_with_parent
from service.sessions import Sessions
from service.settings import (
    BundleSettings,
    EngineSettings,
    ServerSettings,
    SessionSettings,
)
from service.startup import CannotStart, check_settings
from service.stores.connect import open_store
from service.stores.measured import MeasuredStore

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"

try:
    check_settings()
except CannotStart as error:
    sys.exit(f"unrolled: {error}")  # here, in BentoML's first process: a worker that cannot start is started for ever
server = ServerSettings()
metrics = Metrics()
plain = Starlette()


@bentoml.asgi_app(plain, path="/")
@bentoml.service(
    name="unrolled",
    workers=1,
    http={"host": server.host, "port": server.port},
    # Answers have a deadline of their own. BentoML's cannot be left out, and keeps a timer for every request.
    traffic={"timeout": server.request_timeout_seconds + 5},
    # BentoML's own would count every request again; ours know sessions, rungs and problems.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
class RNNService:
    """Recurrent networks with sessions: sentiment, generation, forecasting."""

    def __init__(self) -> None:
        die_with_parent()
        leave_out_client_errors()
        settings = SessionSettings()
        bundle_settings = BundleSettings()
        self._catalog = Catalog(configured_bundles(bundle_settings), bundle_settings, EngineSettings(), metrics)
        self._store = MeasuredStore(open_store(settings), metrics)
        if self._store.backend == "memory" and (bentoml.server_context.worker_index or 1) > 1:
            raise CannotStart("UNROLLED_STORE=memory:// is one worker's memory; more than one would lose sessions")
        self._sessions = Sessions(self._store, self._catalog, settings, metrics, server.request_timeout_seconds)
        self._inference = Inference(self._catalog, metrics, server.request_timeout_seconds)
        self._sweeper: asyncio.Task[None] | None = None
        self._is_ready = False
        plain.router.routes[:] = [
            *SessionRoutes(self._sessions).routes(),
            *ModelRoutes(self._catalog).routes(),
            Route("/metrics", self._exposition),
            Route("/docs.json", self._openapi),
        ]

    @bentoml.on_startup
    async def start(self) -> None:
        """Start what needs the worker's event loop."""
        self._catalog.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        gc.collect()
        gc.freeze()  # what has been loaded lives as long as the process: the collector need not look at it again
        self._is_ready = True

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Stop in the opposite order."""
        self._is_ready = False
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._catalog.stop()
        await self._store.close()

    async def __is_ready__(self) -> bool:
        """Whether every bundle has run once and takes up work."""
        return self._is_ready and self._catalog.is_serving

    @bentoml.api(route="/sentiment")
    @answers_problems
    async def sentiment(self, request: SentimentRequest, /) -> SentimentAnswer:
        """Judge one text or several."""
        return await self._inference.sentiment(request)

    @bentoml.api(route="/generate")
    @answers_problems
    async def generate(self, request: GenerateRequest, /) -> GenerateAnswer:
        """Continue a text, at once or as a stream of server-sent events."""
        if request.stream:
            # BentoML hands a response on as it is; the annotation is what its OpenAPI document shows.
            return cast(GenerateAnswer, await self._inference.stream(request))
        return await self._inference.generate(request)

    @bentoml.api(route="/forecast")
    @answers_problems
    async def forecast(self, request: ForecastRequest, /) -> ForecastAnswer:
        """Forecast every channel of a series."""
        return await self._inference.forecast(request)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._sessions.sweep()
            except Exception:  # one failed sweep must not end all later ones
                logger.exception("a sweep of the session store failed")

    async def _exposition(self, request: Request) -> Response:
        await self._sessions.measure()
        return Response(metrics.exposition(), media_type=EXPOSITION)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(merged(_service.openapi_spec.asdict()))


_service: Any = RNNService
_service.add_asgi_middleware(MeasureMiddleware, metrics=metrics)
_service.add_asgi_middleware(BodyMiddleware, max_body_bytes=server.max_body_bytes)
_service.add_asgi_middleware(DisconnectMiddleware)
_service.add_asgi_middleware(ProblemMiddleware)
