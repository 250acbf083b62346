"""The plain ASGI application: sessions, steps and streams, on BentoML's port and on a port of its own.

request ─► key ─┬─► StepRoutes, Stream, InferRoute, QuestionRoutes, OpenAI      the hot paths, without a framework
                └─► Starlette routes                                            everything else
"""

import logging
import time
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.client_watch import ClientGone
from service.api.disconnect import CLIENT_CLOSED_REQUEST
from service.api.endpoints import ENDPOINTS
from service.api.handshake import refuse
from service.api.open_inference_infer import PATH, InferRoute
from service.api.openai import OpenAI
from service.api.openai_error import V1, refusal_response
from service.api.paths import endpoint_of
from service.api.problem import failure, plain_problem, problem_response
from service.api.question_routes import QuestionRoutes
from service.api.steps import StepRoutes
from service.api.stream import Stream
from service.api.wire import respond
from service.errors import ServiceError, UpgradeNeeded
from service.metrics import RequestTally

logger = logging.getLogger(__name__)

STEPS, STREAM, SESSIONS, INFER = "/steps", "/stream", "/sessions/", "/infer"
_PREFIXES = tuple({f"/{endpoint.path.split('/')[1]}" for endpoint in ENDPOINTS if not endpoint.is_bentomls})


class PlainApp:
    """Dispatches by path.

    Args:
        steps: Answers POST /steps and POST /sessions/{id}/steps.
        stream: Answers WS /stream.
        infer: Answers POST /v2/models/{name}/infer.
        questions: Answers whole questions.
        openai: Answers below /v1.
        routes: Answers everything else that is served here.
        tally: Counts the hot paths' requests; the routes count their own.
    """

    def __init__(
        self,
        steps: StepRoutes,
        stream: Stream,
        infer: InferRoute,
        questions: QuestionRoutes,
        openai: OpenAI,
        routes: Starlette | ASGIApp,
        tally: RequestTally,
    ) -> None:
        self._steps = steps
        self._stream = stream
        self._infer = infer
        self._questions = questions
        self._openai = openai
        self._routes = routes
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, path = scope["type"], scope["path"]
        if kind == "http" and scope["method"] == "POST" and self._is_hot(path):
            await self._answer(scope, receive, send, path)
        elif kind == "websocket" and path == STREAM:
            await self._stream(scope, receive, send)
        elif kind == "http" and path.startswith(V1):
            await self._answer(scope, receive, send, path)
        elif kind == "websocket":
            self._tally.add(endpoint_of(path), HTTPStatus.NOT_FOUND, 0.0)
            refused = plain_problem(HTTPStatus.NOT_FOUND)
            await refuse(refused, f"streams are at {STREAM}", scope, receive, send)
        else:
            await self._routes(scope, receive, send)

    def _is_hot(self, path: str) -> bool:
        return path.endswith((STEPS, INFER)) or path in self._questions.by_path

    async def _answer(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        started = time.perf_counter()
        try:
            if path in self._questions.by_path:
                status = await self._questions.answer(scope, receive, send, path)
            elif path.startswith(V1):
                status = await self._openai.answer(scope, receive, send, path)
            elif path == STEPS:
                status = await self._steps.many(scope, receive, send)
            elif path.startswith(SESSIONS) and (session_id := path[len(SESSIONS) : -len(STEPS)]):
                status = await self._steps.one(scope, receive, send, session_id)
            elif asked := PATH.fullmatch(path):
                status = await self._infer.answer(scope, receive, send, asked[1], asked[2] or "")
            else:
                await self._routes(scope, receive, send)
                return
        except ServiceError as error:
            response = refusal_response(path, error)
            status = response.status_code
            await response(scope, receive, send)
        except ClientGone:
            status = CLIENT_CLOSED_REQUEST
            await respond(send, b"", status=status)  # nobody reads it, but BentoML's layers wait for an answer
        except Exception:
            logger.exception("%s failed", endpoint_of(path))
            status = 500
            await refusal_response(path, failure())(scope, receive, send)
        self._tally.add(endpoint_of(path), status, time.perf_counter() - started)


def other_methods(questions: QuestionRoutes) -> list[Route]:
    """Routes of the hot paths, for who asks them in another way than they are answered."""
    posted = [*questions.by_path, STEPS, f"{SESSIONS}{{session_id}}{STEPS}"]
    refused = Response(status_code=405, headers={"Allow": "POST"})
    upgrade = problem_response(UpgradeNeeded("a stream is a WebSocket connection: ws://, or wss:// with TLS"))
    upgrade.headers.update({"Upgrade": "websocket", "Connection": "Upgrade"})
    return [*(Route(path, refused) for path in posted), Route(STREAM, upgrade)]


class PlainFirst:
    """Gives the plain application what is its, before BentoML's layers, and BentoML the rest.

    No WebSocket is BentoML's.
    """

    def __init__(self, app: ASGIApp, plain: ASGIApp) -> None:
        self._app = app
        self._plain = plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        is_plain = kind == "websocket" or (kind == "http" and scope["path"].startswith(_PREFIXES))
        await (self._plain if is_plain else self._app)(scope, receive, send)
