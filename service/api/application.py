"""All surfaces of a worker, assembled: the plain application, and the layers around BentoML's.

second port ──► log, id, origin, slash ───► key ─► plain application
BentoML's ──► log, id, origin, slash ─┬─► key ─► plain application
                                      └─► key ─► measure, query, body, refusals ─► BentoML

In the plain application, the layers from measure to refusals surround all routes but the hot paths.
"""

import time
from collections.abc import Callable, Collection

from starlette.types import ASGIApp

from service.api.access_log import AccessLogMiddleware
from service.api.auth import AuthMiddleware
from service.api.body import BodyMiddleware
from service.api.body_reader import BodyReader
from service.api.cors import OriginMiddleware
from service.api.endpoint import Endpoint
from service.api.endpoints import ENDPOINTS, PAGE, PAGE_FILES, PLAYGROUND, STREAM
from service.api.measure import MeasureMiddleware
from service.api.models import ModelRoutes
from service.api.open_inference.infer import InferRoute
from service.api.open_inference.metadata import OpenInferenceRoutes
from service.api.open_inference.repository import RepositoryRoutes
from service.api.openai.routes import OpenAI
from service.api.operators import OperatorRoutes
from service.api.origins import Origins
from service.api.page import PageFirst
from service.api.plain import PlainApp, PlainFirst
from service.api.playground import playground_routes
from service.api.query import QueryMiddleware
from service.api.question_routes import QuestionRoutes
from service.api.refusal_layer import RefusalMiddleware
from service.api.request_id import RequestIdMiddleware
from service.api.routes import Unbound, joined, listed, other_methods, routed, routes_of
from service.api.sessions import SessionRoutes
from service.api.slash import SlashMiddleware
from service.api.steps.steps import StepRoutes
from service.api.stream.stream import Stream
from service.catalog import Catalog
from service.core import Core
from service.keys.keys import Keys
from service.metrics import Metrics, RequestTally
from service.questions import Questions
from service.reload import Reloader
from service.sessions.sequences import Sequences
from service.settings import Settings

# A WebSocket, files, and the page of BentoML's port, which have no handlers here.
_WITHOUT_HANDLERS = frozenset({STREAM, PLAYGROUND, PAGE, PAGE_FILES})
_DECLARED = "declared in service/api/endpoints.py"


class Application:
    """The applications of both ports.

    Attributes:
        plain: Serves sessions, steps, streams, and everything else that does not need BentoML.
        unguarded: The same without the layers that decide who may call.
        origins: Which pages may call.
        question_routes: Handlers that BentoML's APIs also call.
        stream: The WebSocket connections.

    Args:
        core: Steps and sessions.
        catalog: The models.
        reloader: Changes the catalog.
        questions: Answers questions, which need no session.
        metrics: Counts requests.
        keys: The API keys. None if callers need none.
        settings: Limits of a request, how long a session may be idle, and who may load a version.
        is_serving: Whether questions and steps are answered.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        core: Core,
        catalog: Catalog,
        reloader: Reloader,
        questions: Questions,
        metrics: Metrics,
        keys: Keys | None,
        settings: Settings,
        is_serving: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        server, needs_key = settings.server, keys is not None
        self._keys = keys
        self._tally = tally = metrics.requests_tally
        self._logs_access = server.access_log
        self._bodies = bodies = BodyReader(server.max_body_bytes)
        self.origins = Origins(server, needs_key)
        self.question_routes = QuestionRoutes(questions, bodies)
        self.stream = Stream(core.steps, core.answer_room, tally, bodies)
        sequences = Sequences(core.sessions, core.openings, core.steps, core.open_answers, catalog.numerics)
        openai = OpenAI(catalog, metrics, core.open_answers, bodies, clock)
        hot = joined(
            self.question_routes.handlers(),
            StepRoutes(core.steps, core.answer_room, bodies, metrics).handlers(),
            InferRoute(catalog, sequences, core.answer_room, bodies).handlers(),
            openai.handlers(),
        )
        handlers = joined(
            SessionRoutes(core.sessions, core.openings, core.transitions, core.transfers).handlers(),
            ModelRoutes(catalog).handlers(),
            OpenInferenceRoutes(catalog, is_serving, settings.sessions.session_ttl_seconds).handlers(),
            RepositoryRoutes(catalog, reloader, settings.keys.admin_owners).handlers(),
            OperatorRoutes(metrics, core.housekeeping.measure, is_serving, needs_key).handlers(),
        )
        _check(joined(hot, handlers, dict.fromkeys(_WITHOUT_HANDLERS)))
        routes = [*routes_of(handlers), *other_methods(hot, handlers), *playground_routes()]
        self.unguarded = PlainApp(hot, self.stream, openai.refuse, _layered(routed(routes), bodies, tally), tally)
        self._plain = self._keyed(self.unguarded)
        self.plain: ASGIApp = self._guarded(self._plain)

    def around(self, bentoml: ASGIApp) -> ASGIApp:
        """Return the application of BentoML's port: layers around BentoML's own application."""
        layered = _layered(PageFirst(bentoml), self._bodies, self._tally)
        return self._guarded(PlainFirst(self._keyed(layered), self._plain))

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        app = RequestIdMiddleware(OriginMiddleware(SlashMiddleware(app, self._tally), self.origins, self._tally))
        return AccessLogMiddleware(app) if self._logs_access else app

    def _keyed(self, app: ASGIApp) -> ASGIApp:
        return AuthMiddleware(app, self._keys, self._tally)


def _layered(app: ASGIApp, bodies: BodyReader, tally: RequestTally) -> ASGIApp:
    """Add the layers that all routes need except the hot paths, which do this work themselves."""
    return MeasureMiddleware(QueryMiddleware(BodyMiddleware(RefusalMiddleware(app), bodies)), tally)


def check_apis(paths: Collection[str]) -> None:
    """Raise Unbound unless BentoML's APIs, at these paths, are exactly the declared questions."""
    questions = {each.path: each for each in ENDPOINTS if each.is_left_to_bentoml and each.request is not None}
    if missing := [each for path, each in questions.items() if path not in paths]:
        raise Unbound(f"{_DECLARED}, but without a @bentoml.api in service/app.py: {listed(missing)}")
    if undeclared := set(paths).difference(questions):
        raise Unbound(f"with a @bentoml.api in service/app.py, but not {_DECLARED}: {', '.join(sorted(undeclared))}")


def _check(bound: Collection[Endpoint]) -> None:
    """Raise Unbound unless exactly the declared endpoints have handlers."""
    if missing := set(ENDPOINTS).difference(bound):
        raise Unbound(f"{_DECLARED}, but without a handler: {listed(missing)}")
    if undeclared := set(bound).difference(ENDPOINTS):
        raise Unbound(f"with a handler, but not {_DECLARED}: {listed(undeclared)}")
