"""Gives BentoML's and Starlette's own refusals (an invalid body, an unknown path) the form of the path."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problem import not_ready
from service.api.refusals import plain_refusal, refusal_form, refusal_response
from service.api.rewriting import rewriting
from service.errors import InvalidInput, Malformed


class RefusalMiddleware:
    """Rewrites error responses that do not have the form of refusals yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        ours = refusal_form(path).media_type.encode()

        def is_foreign(status: int, content_type: bytes) -> bool:
            return status >= HTTPStatus.BAD_REQUEST and not content_type.startswith(ours)

        def rewritten(status: int, body: bytes) -> Response:
            return _rewritten(path, status, body)

        await self._app(scope, receive, rewriting(is_foreign, rewritten, scope, receive, send))


def _rewritten(path: str, status: int, body: bytes) -> Response:
    fields = _field_errors(body)
    if any(error["type"] == "json_invalid" for error in fields):
        return refusal_response(path, Malformed.of_json(fields[0]["msg"]))
    if fields:
        return refusal_response(path, InvalidInput.of_fields(fields))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:  # what BentoML answers its probe
        return refusal_response(path, not_ready())
    return plain_refusal(path, status)


def _field_errors(body: bytes) -> list[dict[str, Any]]:
    """The validation errors in a response of BentoML. Empty if there are none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    details = document.get("detail") if isinstance(document, dict) else None
    return [error for error in details if {"type", "loc", "msg"} <= set(error)] if isinstance(details, list) else []
