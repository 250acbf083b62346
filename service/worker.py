"""One worker process: everything that serves, put together, started and stopped in order."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from service.api import endpoints
from service.api.auth import AuthMiddleware
from service.api.body import BodyMiddleware
from service.api.disconnect import DisconnectMiddleware
from service.api.error_form import ErrorFormMiddleware
from service.api.measure import MeasureMiddleware
from service.api.models import ModelRoutes
from service.api.open_inference import OpenInferenceRoutes
from service.api.open_inference_infer import InferRoute
from service.api.openai import OpenAI
from service.api.openapi import openapi_document
from service.api.plain import PlainApp
from service.api.playground import playground_routes
from service.api.problem import ProblemMiddleware
from service.api.question_routes import QuestionRoutes
from service.api.repository import RepositoryRoutes
from service.api.routes import Handlers, HotHandlers, other_methods, routes_of
from service.api.sessions import SessionRoutes
from service.api.single_steps import SingleSteps
from service.api.steps import StepRoutes
from service.api.stream import Stream
from service.catalog import Catalog, configured_bundles
from service.core import Core
from service.fast_port.server import FastPort
from service.keys.keys import open_keys
from service.metrics import Metrics
from service.process.allocator import keep_freed_memory
from service.process.collector import collect_when_idle
from service.process.parent import die_with_parent
from service.process.seats import Seats, can_wait_for_seats
from service.questions import Questions
from service.reload import Reloader
from service.sessions.sequences import Sequences
from service.settings import (
    BundleSettings,
    EngineSettings,
    ExportSettings,
    KeySettings,
    ServerSettings,
    SessionSettings,
)
from service.stores.connect import open_store
from service.stores.measured import MeasuredStore

logger = logging.getLogger(__name__)

# How long a thread that has run a graph may wait for the interpreter; Python's default is 5 ms, four runs of a graph.
SWITCH_SECONDS = 5e-5
RECENT_SESSIONS = 1024
SWEEP_SECONDS = 5.0
FLUSH_SECONDS = 0.25
LOOK_SECONDS = 2.0
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class Worker:
    """All parts of a worker.

    Args:
        server: Where it listens.
        worker_index: Which of the service's workers it is, from 1 on.
    """

    def __init__(self, server: ServerSettings, worker_index: int) -> None:
        die_with_parent()
        keep_freed_memory()
        sys.setswitchinterval(SWITCH_SECONDS)
        settings, bundle_settings = SessionSettings(), BundleSettings()
        self._server = server
        self._idle_seconds = settings.session_ttl_seconds
        self.metrics = Metrics()
        self.tally = self.metrics.requests_tally
        self.keys = open_keys(KeySettings())
        self.store = MeasuredStore(open_store(settings), self.metrics)
        self.catalog = Catalog(bundle_settings, EngineSettings(), self.metrics)
        self.reloader = Reloader(
            self.catalog,
            self.store,
            f"{os.uname().nodename}:{server.port}:{worker_index}",
            configured_bundles(bundle_settings),
            followed=bundle_settings.followed,
        )
        self._core = Core(
            self.store,
            self.catalog,
            settings,
            self.metrics,
            server.request_timeout_seconds,
            ExportSettings().signing_key,
            self._spawn,
            max_recent=RECENT_SESSIONS if server.workers == 1 and self.store.is_immediate else 0,
        )
        self.steps = self._core.steps
        self.questions = Questions(self.catalog, self.metrics, server.request_timeout_seconds)
        self.question_routes = QuestionRoutes(self.questions, server.max_body_bytes)
        self.stream = Stream(self.steps, self.tally, server.max_body_bytes)
        self.plain = self._plain_app(server.max_body_bytes)
        self._fast_port = self._second_port() if server.fast_port else None
        self._seats = Seats(f"{server.port}:{os.getppid()}", server.workers)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.is_ready = False
        self._document = openapi_document(needs_key=self.keys is not None)

    async def start(self) -> None:
        """Start what needs the event loop, and only then be ready."""
        await self._open_store()
        await self.reloader.open()
        self._spawn(self.reloader.follow_forever())
        await self._take_seat()
        self.catalog.start()
        if self._fast_port is not None:
            self._fast_port.start()
        for work in (
            collect_when_idle(lambda: self.steps.is_idle),
            _repeat(SWEEP_SECONDS, self._core.housekeeping.sweep),
            _repeat(LOOK_SECONDS, self.stream.drop_slow_readers),
            _repeat(FLUSH_SECONDS, self._flush),
        ):
            self._spawn(work)
        self._drain_on_sigterm()
        self.is_ready = True

    async def stop(self) -> None:
        """Answer what is under way, and stop in the opposite order."""
        self.is_ready = False
        await self.steps.drain()
        await self.stream.stop()
        if self._fast_port is not None:
            await self._fast_port.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.reloader.leave()
        await self.catalog.stop()
        await self.store.close()
        self._seats.leave()

    async def _open_store(self) -> None:
        """Reach the store, which checks it where the machine has crashed, and log what it may lose."""
        await self.store.count()
        for sentence in await self.store.weaknesses():
            logger.warning("the session store: %s", sentence)

    def layers(self, app: ASGIApp) -> ASGIApp:
        """What every route passes but the hot paths, which do all of this themselves."""
        app = DisconnectMiddleware(ProblemMiddleware(app))
        return MeasureMiddleware(BodyMiddleware(app, max_body_bytes=self._server.max_body_bytes), tally=self.tally)

    def _plain_app(self, max_body_bytes: int) -> ASGIApp:
        openai = OpenAI(self.catalog, self.metrics, self._server.request_timeout_seconds, max_body_bytes)
        sequences = Sequences(
            self._core.sessions,
            self._core.openings,
            self.steps,
            self._server.request_timeout_seconds,
            self.catalog.numerics,
        )
        hot: HotHandlers = {
            **self.question_routes.handlers(),
            **StepRoutes(self.steps, max_body_bytes, self.metrics.time_to_first_token.observe).handlers(),
            **InferRoute(self.catalog, sequences, max_body_bytes).handlers(),
        }
        app = PlainApp(hot, self.stream, openai, self._routes(hot), self.tally)
        return ErrorFormMiddleware(AuthMiddleware(app, self.keys, self.tally))

    def _second_port(self) -> FastPort:
        server = self._server
        single_steps = SingleSteps(self.steps, self.keys, self.tally, server.max_body_bytes)
        return FastPort(self.plain, single_steps, server.host, server.fast_port, server.max_body_bytes)

    def _routes(self, hot: HotHandlers) -> ASGIApp:
        core = self._core
        handlers: Handlers = {
            **SessionRoutes(core.sessions, core.openings, core.transitions, core.transfers).handlers(),
            **ModelRoutes(self.catalog).handlers(),
            **OpenInferenceRoutes(self.catalog, lambda: self._is_serving, self._idle_seconds).handlers(),
            **RepositoryRoutes(self.catalog, self.reloader, KeySettings().admin_owners).handlers(),
            endpoints.METRICS: self._exposition,
            endpoints.DOCUMENT: self._openapi,
            endpoints.HEALTHZ: self._live,
            endpoints.LIVEZ: self._live,
            endpoints.READYZ: self._ready,
        }
        return self.layers(Starlette(routes=[*other_methods(hot), *routes_of(handlers), *playground_routes()]))

    async def _take_seat(self) -> None:
        """Wait until another worker is needed; one that is told to end meanwhile has nothing to finish."""
        if not can_wait_for_seats():
            return
        loop, is_told = asyncio.get_running_loop(), asyncio.Event()
        stop = signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(is_told.set))
        waits = [asyncio.ensure_future(wait) for wait in (self._seats.wait(), is_told.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if is_told.is_set():
            await self.stop()
            os._exit(0)
        signal.signal(signal.SIGTERM, stop)

    def _drain_on_sigterm(self) -> None:
        """Be not ready first, for as long as load balancers need to see it, and stop only then."""
        stop = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def drain(number: int, _: FrameType | None) -> None:
            self.is_ready = False
            signal.signal(signal.SIGTERM, stop)
            loop.call_soon_threadsafe(self._spawn, self._drain(number))

        signal.signal(signal.SIGTERM, drain)

    async def _drain(self, number: int) -> None:
        """Answer all steps that were taken before uvicorn hears of the end: it closes WebSockets as they are."""
        await asyncio.sleep(self._server.drain_seconds)
        await self.steps.drain()
        await self.stream.stop()
        os.kill(os.getpid(), number)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        self.metrics.flush()

    @property
    def _is_serving(self) -> bool:
        return self.is_ready and self.catalog.is_serving

    async def _live(self, request: Request) -> Response:
        return Response()

    async def _ready(self, request: Request) -> Response:
        return Response(status_code=200 if self._is_serving else 503)

    async def _exposition(self, request: Request) -> Response:
        await self._core.housekeeping.measure()
        return Response(self.metrics.exposition(), media_type=EXPOSITION)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(self._document)


async def _repeat(seconds: float, work: Any) -> None:  # noqa: ANN401  any coroutine function without arguments
    """Do something every so often; one failure must not end all later ones."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            logger.exception("%s failed", work.__qualname__)
