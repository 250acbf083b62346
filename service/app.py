"""The BentoML service: wiring only.

BentoML worker ─┬─► sessions, steps, streams, models, metrics      the plain application, also on a port of its own
                └─► key, measure, query, body, disconnect, problems ─► /sentiment /generate ...     BentoML APIs
"""

import os
import sys
from functools import partial
from typing import Any, cast

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api import endpoints
from service.api.application import check_apis
from service.api.log import leave_out_client_errors, log_failed_callbacks, log_news, log_once
from service.api.problem import answers_problems
from service.api.routes import Unbound
from service.forms.caption import CaptionAnswer, CaptionRequest
from service.forms.forecasting import ForecastAnswer, ForecastRequest
from service.forms.generation import GenerateAnswer, GenerateRequest
from service.forms.music import ComposeAnswer, ComposeRequest
from service.forms.sentiment import SentimentAnswer, SentimentRequest
from service.forms.tagging import TagAnswer, TagRequest
from service.forms.translation import TranslateAnswer, TranslateRequest
from service.preflight import CHECKS, CannotStart, checked_settings
from service.process.deaths import watch_deaths
from service.process.messages import report_alive, report_failures
from service.process.metric_files import merge_ended, reserve_totals
from service.process.open_files import raise_limit
from service.process.output import flush_on_sigterm, install_nonblocking_output
from service.process.parent import mark_as_parent
from service.process.process_manager import end_on_hangup, ignore_wall_clock, listen_privately
from service.process.service_directory import (
    DirectoryUnusable,
    create_service_directory,
    directory_errors,
    service_directory,
)
from service.process.user_signals import ignore_user_signals
from service.process.wall_clock import WallClock
from service.process.watch import watch_workers
from service.protocols.http import use_guarded_http
from service.protocols.websocket import use_guarded_websocket
from service.stores.base import Unavailable
from service.worker import Worker

if service_directory() is not None:  # in a worker
    install_nonblocking_output()
    flush_on_sigterm()
    ignore_user_signals()
try:
    settings = checked_settings()
except CannotStart as error:
    # In BentoML's first process, since it restarts a worker that cannot start for ever.
    sys.exit(f"unrolled: {error}")
server = settings.server


def _count_refused(status: int) -> None:
    """Count a request that BentoML's server has refused."""
    if Surfaces.worker:
        Surfaces.worker.count_refused(status)


use_guarded_http(_count_refused)
use_guarded_websocket(_count_refused, server.max_body_bytes)


class Surfaces:
    """The layers around BentoML's own application; filled in by the worker, which BentoML creates after them."""

    worker: Worker | None = None

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._layered: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        worker = Surfaces.worker
        if worker is None or scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self._layered is None:
            self._layered = worker.application.around(self._app)
        await self._layered(scope, receive, send)


@bentoml.service(
    name="unrolled",
    workers=server.num_processes,
    http={"host": server.host, "port": server.port},
    # Answers have a deadline of their own. BentoML's cannot be left out, and keeps a timer for every request.
    traffic={"timeout": server.request_timeout_seconds + 5},
    # BentoML's own would count every request again; ours know sessions, rungs and problems.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
class RNNService:
    """Recurrent networks, and sessions on those that read from left to right."""

    @bentoml.on_deployment
    @staticmethod
    def before_workers() -> None:
        """In BentoML's first process: end if workers could not work, else make sure that dead ones are replaced."""
        try:
            check_apis([api.route for api in _service.apis.values()])
            for check in CHECKS:
                check(settings)
            directory = create_service_directory(server.port)
            with directory_errors(directory):
                reserve_totals(directory)
                watch_workers(directory, server.num_processes)
        except (CannotStart, DirectoryUnusable, Unbound) as error:
            sys.exit(f"unrolled: {error}")
        install_nonblocking_output()
        # If this says that the runtime replaces containers, BentoML does not replace workers: the service would go on
        # with fewer of them, and end with the last.
        os.environ.pop("BENTOML_CONTAINERIZED", None)
        raise_limit()
        end_on_hangup()
        ignore_user_signals()
        mark_as_parent()
        WallClock.shared(directory)  # leaves workers a file that tells when it was right
        listen_privately(directory)
        ignore_wall_clock()
        watch_deaths(partial(merge_ended, directory))

    def __init__(self) -> None:
        log_news()
        log_failed_callbacks()
        log_once()
        leave_out_client_errors()
        with report_failures():
            self._worker = Worker(settings, bentoml.server_context.worker_index or 1)
        Surfaces.worker = self._worker

    @bentoml.on_startup
    async def start(self) -> None:
        """Start what needs the worker's event loop."""
        with report_failures(outages=(Unavailable,)):
            await self._worker.start()
        report_alive(is_ready=True)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Answer what is under way, and stop."""
        await self._worker.stop()

    async def __is_ready__(self) -> bool:
        """Whether questions and steps are answered."""
        return self._worker.is_serving

    @bentoml.api(route=endpoints.JUDGE_SENTIMENT.path)
    @answers_problems
    async def sentiment(self, request: SentimentRequest, /) -> SentimentAnswer:
        """Judge one text or several."""
        return await self._worker.questions.judge_sentiment(request)

    @bentoml.api(route=endpoints.TAG.path)
    @answers_problems
    async def tag(self, request: TagRequest, /) -> TagAnswer:
        """Tag the words of one text or several: parts of speech, or entities."""
        return cast(TagAnswer, await self._worker.application.question_routes.tag(request))

    @bentoml.api(route=endpoints.TRANSLATE.path)
    @answers_problems
    async def translate(self, request: TranslateRequest, /) -> TranslateAnswer:
        """Translate one text or several."""
        return await self._worker.questions.translate(request)

    @bentoml.api(route=endpoints.GENERATE.path)
    @answers_problems
    async def generate(self, request: GenerateRequest, /) -> GenerateAnswer:
        """Continue a text, at once or as a stream of server-sent events."""
        # BentoML hands a response on as it is.
        return cast(GenerateAnswer, await self._worker.application.question_routes.generate(request))

    @bentoml.api(route=endpoints.CAPTION.path)
    @answers_problems
    async def caption(self, request: CaptionRequest, /) -> CaptionAnswer:
        """Describe the image of a digit in a sentence."""
        return await self._worker.questions.caption(request)

    @bentoml.api(route=endpoints.COMPOSE.path)
    @answers_problems
    async def compose(self, request: ComposeRequest, /) -> ComposeAnswer:
        """Compose music from a note, a chord or nothing; the answer has notes and MIDI, or is the MIDI file itself."""
        return cast(ComposeAnswer, await self._worker.application.question_routes.compose(request))

    @bentoml.api(route=endpoints.FORECAST.path)
    @answers_problems
    async def forecast(self, request: ForecastRequest, /) -> ForecastAnswer:
        """Forecast every channel of a series."""
        return await self._worker.questions.forecast(request)


_service: Any = RNNService
_service.add_asgi_middleware(Surfaces)
