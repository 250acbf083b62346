"""Refuses query parameters of paths that take none and whose handlers would ignore them."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.endpoints import LIST_MODELS, QUESTIONS, SHOW_SERVED_MODEL
from service.api.paths import endpoint_for
from service.api.refusals import refusal_response
from service.api.wire import check_query
from service.errors import InvalidInput


class QueryMiddleware:
    """Checks the parameters of questions on BentoML's port and of `/models`. Other handlers check their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = endpoint_for(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if endpoint is not None and (endpoint.tag == QUESTIONS or endpoint in (LIST_MODELS, SHOW_SERVED_MODEL)):
            try:
                check_query(scope, endpoint)
            except InvalidInput as error:
                await refusal_response(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
