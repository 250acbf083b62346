"""Bodies: how large they may be, and how they become forms."""

from collections.abc import Collection
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.answer import JSON
from service.api.problem import problem_response
from service.errors import InvalidInput, Malformed, MediaTypeUnknown, TooLarge

F = TypeVar("F", bound=BaseModel)
IMPORT = "/sessions/import"
BLOB = "application/vnd.unrolled.session"
BLOBS = frozenset({BLOB, "application/octet-stream"})


class BodyMiddleware:
    """Refuses bodies that are too large or not sent as JSON before anything reads them.

    What passes is handed on as one message.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "DELETE", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            _check_media_type(headers.get("content-type", JSON), BLOBS if scope["path"] == IMPORT else ())
            message = await self._read(headers, receive)
        except (MediaTypeUnknown, TooLarge) as error:
            await problem_response(error)(scope, receive, send)
            return
        pending = [message]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _read(self, headers: Headers, receive: Receive) -> Message:
        announced = headers.get("content-length", "0")
        self._check(int(announced) if announced.isdecimal() else 0)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            body += message.get("body", b"")
            self._check(len(body))
            if not message.get("more_body", False):
                return {"type": "http.request", "body": bytes(body), "more_body": False}

    def _check(self, num_bytes: int) -> None:
        if num_bytes > self._max_body_bytes:
            raise TooLarge(f"the body may have at most {self._max_body_bytes} bytes")


def _check_media_type(content_type: str, also: Collection[str]) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != JSON and not media_type.endswith("+json") and media_type not in also:
        raise MediaTypeUnknown(f"send the body as {JSON}, not {media_type!r} (curl has --json for that)")


async def read_form(request: Request, form: type[F]) -> F:
    """The body of a request as a form; see `parsed`."""
    return parsed(form, await request.body())


def parsed(form: type[F], body: bytes | str) -> F:
    """A body as a form.

    Raises:
        Malformed: It is not JSON.
        InvalidInput: It is JSON, but not that form.
    """
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_context=False)
        if errors[0]["type"] == "json_invalid":
            raise Malformed(f"the body is not JSON: {errors[0]['msg']}") from error
        raise InvalidInput.of_fields(errors) from error
