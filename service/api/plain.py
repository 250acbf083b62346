"""The plain ASGI application: sessions, steps and streams, on BentoML's port and on a port of its own.

request ─► key ─┬─► StepRoutes, Stream, InferRoute, QuestionRoutes, OpenAI      the hot paths, without a framework
                └─► Starlette routes                                            everything else
"""

import asyncio
import logging
import time
from collections.abc import Awaitable
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import endpoints
from service.api.client_watch import CLIENT_CLOSED_REQUEST, ClientGone, ClientSlow
from service.api.endpoint import Endpoint
from service.api.openai.errors import V1
from service.api.paths import PathMatch, first_segment, match_path
from service.api.problem import plain_problem
from service.api.refusal_forms import refusal_response
from service.api.refusals import refusal_of
from service.api.request_id import log_suffix
from service.api.routes import HotHandler, HotHandlers
from service.api.stream.handshake import refuse
from service.api.stream.stream import Stream
from service.api.wire import check_query, respond
from service.errors import ServiceError
from service.metrics import RequestTally

logger = logging.getLogger(__name__)

_PLAIN_SEGMENTS = frozenset(
    first_segment(endpoint.path) for endpoint in endpoints.ENDPOINTS if not endpoint.is_left_to_bentoml
)


class PlainApp:
    """Dispatches by method and path.

    Args:
        hot: Answers on the hot paths.
        stream: Answers WS /stream.
        refuse_v1: Answers every other request below /v1/.
        routes: Answers everything else that is served here.
        tally: Counts the hot paths' requests; the routes count their own.
    """

    def __init__(
        self,
        hot: HotHandlers,
        stream: Stream,
        refuse_v1: HotHandler,
        routes: ASGIApp,
        tally: RequestTally,
    ) -> None:
        self._hot = {
            (method, endpoint.label): (endpoint, handler)
            for endpoint, handler in hot.items()
            for method in endpoint.methods
        }
        self._stream = stream
        self._refuse_v1 = refuse_v1
        self._routes = routes
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        match = match_path(path)
        if scope["type"] == "websocket":
            await self._connect(match.label, scope, receive, send)
        elif found := self._hot.get((scope["method"], match.label)):
            await self._answer(*found, match, scope, receive, send)
        elif path.startswith(V1):
            await self._answer(None, self._refuse_v1, PathMatch(match.label), scope, receive, send)
        else:
            await self._routes(scope, receive, send)

    async def _connect(self, label: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == endpoints.STREAM.path:
            await self._stream(scope, receive, send)
            return
        self._tally.add(label, HTTPStatus.NOT_FOUND, 0.0)
        refused = plain_problem(HTTPStatus.NOT_FOUND)
        await refuse(refused, f"streams are at {endpoints.STREAM.path}", scope, receive, send)

    async def _answer(
        self,
        endpoint: Endpoint | None,
        answer: HotHandler,
        match: PathMatch,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        started, label = time.perf_counter(), match.label
        status, has_begun = 500, False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal has_begun
            has_begun = True
            return send(message)

        try:
            if endpoint is not None:
                check_query(scope, endpoint)
            status = await answer(scope, receive, watch, *match.ids)
        except asyncio.CancelledError:  # its body comes too slowly, or the service stops
            status = CLIENT_CLOSED_REQUEST
            raise
        except ClientGone:
            status = CLIENT_CLOSED_REQUEST
            await respond(send, b"", status=status)  # nobody reads it, but BentoML's layers wait for an answer
        except ClientSlow:
            status = CLIENT_CLOSED_REQUEST
            logger.warning("a client does not read its answer to %s; closing its connection%s", label, log_suffix())
        except Exception as error:
            if not isinstance(error, ServiceError):
                logger.exception("%s failed%s", label, log_suffix())
            if has_begun:  # its client can only be told by the end of its connection
                raise
            response = refusal_response(scope["path"], refusal_of(error).without_frames())
            status = response.status_code
            await response(scope, receive, send)
        finally:
            self._tally.add(label, status, time.perf_counter() - started)


class PlainFirst:
    """Passes plain requests and all WebSockets to the plain application, past BentoML's layers; the rest to BentoML."""

    def __init__(self, app: ASGIApp, plain: ASGIApp) -> None:
        self._app = app
        self._plain = plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        is_plain = kind == "websocket" or (kind == "http" and first_segment(scope["path"]) in _PLAIN_SEGMENTS)
        await (self._plain if is_plain else self._app)(scope, receive, send)
