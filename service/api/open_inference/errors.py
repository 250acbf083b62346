"""Refusals in the Open Inference Protocol's form, `{"error": "..."}`, on that protocol's paths."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.media_types import JSON
from service.api.problem import is_problem, retry_headers
from service.api.rewriting import rewriting
from service.errors import ServiceError

ROOT = "/v2"
ERROR: dict[str, Any] = {
    "description": "Why a request was refused, as the Open Inference Protocol has it",
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, for people"}},
}


def is_open_inference(path: str) -> bool:
    """Whether refusals on a path have the protocol's form."""
    return path.startswith(ROOT) and path[len(ROOT) :][:1] in ("", "/")


def error_response(error: ServiceError) -> Response:
    """A refusal as a response."""
    return _response(error.status, str(error), retry_headers(error))


class ErrorFormMiddleware:
    """Rewrites problems on the protocol's paths: those of routes, and what Starlette answers itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_open_inference(scope["path"]):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, rewriting(lambda _, kind: is_problem(kind), _rewritten, scope, receive, send))


def _rewritten(status: int, body: bytes) -> Response:
    return _response(status, orjson.loads(body)["detail"])


def _response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps({"error": message}), status_code=status, media_type=JSON, headers=headers)
