"""Bodies: how large they may be, and how they become forms."""

import codecs
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.client_watch import CLIENT_CLOSED_REQUEST, ClientGone
from service.api.endpoint import Endpoint
from service.api.endpoints import IMPORT_SESSION
from service.api.large_bodies import LARGE_BYTES, check_parts
from service.api.paths import endpoint_for
from service.api.refusals import refusal_response
from service.api.wire import check_encoding, check_media_type, media_type, read_body
from service.errors import InvalidInput, Malformed, MediaTypeUnknown, TooLarge

F = TypeVar("F", bound=BaseModel)
_MARK = codecs.BOM_UTF8.decode()
_MARKED = "it begins with a byte order mark"
BLOBS = tuple(IMPORT_SESSION.request_types)


class BodyMiddleware:
    """Refuses bodies that are too large or not sent as JSON before anything reads them.

    A body that passes is handed on as one message. Without an endpoint, any type passes: the answer is a 404 or 405.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        try:
            endpoint = endpoint_for(scope["method"], scope["path"])
            if endpoint is not None:
                _check_type(scope, endpoint)
            body = await read_body(scope, receive, self._max_body_bytes)
            # BentoML's message would not name the mark.
            if endpoint not in (None, IMPORT_SESSION) and body.startswith(codecs.BOM_UTF8):
                raise Malformed.of_json(_MARKED)
        except (Malformed, MediaTypeUnknown, TooLarge) as error:
            await refusal_response(scope["path"], error)(scope, receive, send)
            return
        except ClientGone:
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def _check_type(scope: Scope, endpoint: Endpoint) -> None:
    """Raise MediaTypeUnknown if the endpoint does not accept a body of this type."""
    if endpoint.method != "DELETE":  # its clients may name a type though they send no body
        check_media_type(media_type(scope), BLOBS if endpoint is IMPORT_SESSION else ())
    check_encoding(scope)


async def read_form(request: Request, form: type[F]) -> F:
    """Parse the body of a request as a form; see `parsed_body`."""
    return parsed_body(form, await request.body())


def parsed_body(form: type[F], body: bytes) -> F:
    """Parse a whole body as a form. An empty body has no fields.

    Raises:
        TooLarge, Malformed, InvalidInput: See `parsed`.
    """
    return parsed(form, body or b"{}")


def parsed(form: type[F], body: bytes | str) -> F:
    """Parse JSON as a form.

    Raises:
        TooLarge: It would take too long to parse; see `check_parts`.
        Malformed: It is not JSON.
        InvalidInput: It is JSON, but does not have that form.
    """
    if len(body) > LARGE_BYTES:
        check_parts(body.encode() if isinstance(body, str) else body)
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() == 1 and (only := error.errors()[0])["type"] == "json_invalid":
            has_mark = body[:3] == codecs.BOM_UTF8 or body[:1] == _MARK
            raise Malformed.of_json(_MARKED if has_mark else only["msg"]) from error
        raise InvalidInput.of(error) from error
