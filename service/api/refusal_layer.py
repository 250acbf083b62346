"""Gives BentoML's and Starlette's own refusals (an invalid body, an unknown path) the form of the path."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.events import EVENT_STREAM
from service.api.headers import header
from service.api.paths import endpoint_for
from service.api.problem import plain_problem
from service.api.refusal_forms import plain_refusal, refusal_form, refusal_response
from service.api.refusals import not_ready
from service.errors import InvalidInput, Malformed

POST_INSTEAD = 'POST it with "stream": true and read the events with fetch: an EventSource can only GET'


class RefusalMiddleware:
    """Rewrites error responses that do not have the form of refusals yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_request = scope["type"] == "http"
        await self._app(scope, receive, _Rewriter(scope, receive, send).send if is_request else send)


class _Rewriter:
    """Holds back an error response in another form until it is whole, and sends a refusal in its place."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """Send a message, or hold it back."""
        if self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                response = _rewritten(self._scope, self._start["status"], self._body)
                response.raw_headers.extend(_kept_headers(self._start))
                await response(self._scope, self._receive, self._send)
        elif message["type"] == "http.response.start" and self._is_foreign(message):
            self._start = message
        else:
            await self._send(message)

    def _is_foreign(self, start: Message) -> bool:
        own = refusal_form(self._scope["path"]).media_type.encode()
        is_error: bool = start["status"] >= HTTPStatus.BAD_REQUEST
        return is_error and not header(start["headers"], b"content-type").startswith(own)


def _kept_headers(start: Message) -> list[tuple[bytes, bytes]]:
    """Return the headers that do not describe the old body, such as Allow."""
    return [(name, value) for name, value in start["headers"] if not name.startswith(b"content-")]


def _rewritten(scope: Scope, status: int, body: bytes) -> Response:
    path = scope["path"]
    if status == HTTPStatus.METHOD_NOT_ALLOWED and _is_event_source(scope):
        return plain_problem(status, POST_INSTEAD)
    fields = _field_errors(body)
    if any(error["type"] == "json_invalid" for error in fields):
        return refusal_response(path, Malformed.of_json(fields[0]["msg"]))
    if fields:
        return refusal_response(path, InvalidInput.of_fields(fields))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:  # what BentoML answers its probe
        return refusal_response(path, not_ready())
    return plain_refusal(path, status)


def _is_event_source(scope: Scope) -> bool:
    """Whether a page's `EventSource`, which can only GET, asks an endpoint that streams its answers to POST."""
    endpoint = endpoint_for("POST", scope["path"])
    asks_events = EVENT_STREAM.encode() in header(scope["headers"], b"accept")
    return asks_events and endpoint is not None and EVENT_STREAM in endpoint.response_types


def _field_errors(body: bytes) -> list[dict[str, Any]]:
    """The validation errors in a response of BentoML. Empty if there are none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    details = document.get("detail") if isinstance(document, dict) else None
    return [error for error in details if {"type", "loc", "msg"} <= set(error)] if isinstance(details, list) else []
