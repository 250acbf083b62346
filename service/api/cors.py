"""The layer that refuses pages that may not call, and tells browsers which ones may (CORS)."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.headers import HEADER_LENGTH
from service.api.origins import ORIGIN, Origins
from service.api.paths import label_of
from service.api.refusal_forms import refusal_response
from service.api.request_id import REQUEST_ID
from service.api.stream.handshake import refuse
from service.metrics import RequestTally

# Response headers that listed origins may read, besides those that any page may read.
_EXPOSED = (
    "Content-Disposition",
    HEADER_LENGTH.decode(),
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    REQUEST_ID.decode(),
)


class OriginMiddleware:
    """Refuses requests and WebSocket handshakes from pages that may not call. Answers preflights.

    Credentials are not allowed: a page sends a key itself, and there are no cookies.
    """

    def __init__(self, app: ASGIApp, origins: Origins, tally: RequestTally) -> None:
        self._app = app
        self._origins = origins
        self._tally = tally
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins.listed,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=_EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = dict(scope["headers"])
        error = self._origins.refusal(fields)
        if error is None:
            await (self._cors if ORIGIN in fields else self._app)(scope, receive, send)
            return
        response = refusal_response(scope["path"], error)
        self._tally.add(label_of(scope["path"]), response.status_code, 0.0)
        if scope["type"] == "websocket":
            await refuse(response, str(error), scope, receive, send)
        else:
            await response(scope, receive, send)
