"""Bodies: how large they may be, and how they become forms."""

import asyncio
import codecs
from contextlib import ExitStack
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.body_reader import LARGE_BYTES, BodyReader, check_parts
from service.api.client_watch import CLIENT_CLOSED_REQUEST, ClientGone, ClientWatch
from service.api.endpoint import Endpoint
from service.api.endpoints import IMPORT_SESSION
from service.api.media_types import BLOB, OCTETS
from service.api.paths import endpoint_for
from service.api.refusal_forms import refusal_response
from service.api.wire import check_encoding, check_media_type, media_type, read_body
from service.errors import InvalidInput, Malformed, MediaTypeUnknown, QueueFull, TooLarge

F = TypeVar("F", bound=BaseModel)
_MARK = codecs.BOM_UTF8.decode()
_MARKED = "it begins with a byte order mark"
BLOBS = (BLOB, OCTETS)


class BodyMiddleware:
    """Refuses bodies that are too large or not sent as JSON before anything reads them.

    A body that passes is handed on as one message, in turn if it is large. Without an endpoint, any type passes: the
    answer is a 404 or 405. Where no body is needed, the type matters only if there is one: aiohttp and urllib name one
    of their own for an empty body. (Not so questions, which BentoML reads by their type.) The handler of a POST is
    cancelled when its client disconnects.
    """

    def __init__(self, app: ASGIApp, bodies: BodyReader) -> None:
        self._app = app
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        with ExitStack() as waiting:
            try:
                body = await self._read(scope, receive)
                is_large = len(body) > LARGE_BYTES and scope["path"] != IMPORT_SESSION.path
                if is_large:
                    check_parts(body)
                    waiting.enter_context(self._bodies.waiting(len(body)))
            except (Malformed, MediaTypeUnknown, QueueFull, TooLarge) as error:
                await refusal_response(scope["path"], error)(scope, receive, send)
                return
            except ClientGone:
                await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
                return
            pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
            del body
            client = ClientWatch(receive) if scope["method"] == "POST" else None

            async def replay() -> Message:
                if not pending:
                    return await (receive() if client is None else asyncio.shield(client.gone))
                if is_large:
                    await self._bodies.wait_to_parse()
                    waiting.close()
                return pending.pop()

            if client is None:
                await self._app(scope, replay, send)
            else:
                await self._watched(client, scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        endpoint = endpoint_for(scope["method"], scope["path"])
        if endpoint is not None:
            check_encoding(scope)
            if endpoint.needs_body or endpoint.is_left_to_bentoml:  # which goes by the type even without a body
                _check_type(scope, endpoint)
        body = await read_body(scope, receive, self._bodies.max_bytes)
        if endpoint is not None and body:
            _check_type(scope, endpoint)
        # BentoML's message would not name the mark.
        if endpoint not in (None, IMPORT_SESSION) and body.startswith(codecs.BOM_UTF8):
            raise Malformed.of_json(_MARKED)
        return body

    async def _watched(self, client: ClientWatch, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and cancel it when its client disconnects."""

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                client.end()
            await send(message)

        try:
            with client:
                await self._app(scope, receive, watch)
        except ClientGone:
            # Nobody reads it, but the layers around this one wait for an answer and count it.
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)


def _check_type(scope: Scope, endpoint: Endpoint) -> None:
    """Raise MediaTypeUnknown if the endpoint does not accept a body of this type. A DELETE's should be empty."""
    if endpoint.method != "DELETE":
        check_media_type(media_type(scope), BLOBS if endpoint is IMPORT_SESSION else ())


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
