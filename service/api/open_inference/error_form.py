"""Refusals in the Open Inference Protocol's form, `{"error": "..."}`, on that protocol's paths."""

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.answer import JSON
from service.api.problem import is_problem
from service.api.rewriting import rewriting

ROOT = "/v2"
REPOSITORY = "/v2/repository"  # answers problems, as it always did


def is_open_inference(path: str) -> bool:
    """Whether refusals on a path have the protocol's form."""
    return path.startswith(ROOT) and path[len(ROOT) :][:1] in ("", "/") and not path.startswith(REPOSITORY)


class ErrorFormMiddleware:
    """Rewrites problems on the protocol's paths, whoever has answered them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_open_inference(scope["path"]):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, rewriting(lambda _, kind: is_problem(kind), _rewritten, scope, receive, send))


def _rewritten(status: int, body: bytes) -> Response:
    return Response(orjson.dumps({"error": orjson.loads(body)["detail"]}), status_code=status, media_type=JSON)
