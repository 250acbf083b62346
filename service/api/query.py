"""Refuses unknown query parameters."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.paths import endpoint_for
from service.api.refusal_forms import refusal_response
from service.api.wire import check_query
from service.errors import InvalidInput


class QueryMiddleware:
    """Checks the query of all requests but those on the hot paths, whose query `PlainApp` checks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = endpoint_for(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if endpoint is not None:
            try:
                check_query(scope, endpoint)
            except InvalidInput as error:
                await refusal_response(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
