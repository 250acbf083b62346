"""HTTP for the hot paths: a body in, a response out, without a framework between."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from service.api.client_watch import ClientGone, ClientWatch
from service.errors import MediaTypeUnknown, TooLarge

R = TypeVar("R")

JSON = b"application/json"
OCTETS = b"application/octet-stream"


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """The whole body of a request.

    Raises:
        TooLarge: It has more bytes than allowed.
        ClientGone: It never came.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    parts = [body]
    num_bytes = len(body)
    while message.get("more_body", False) and num_bytes <= max_bytes:
        message = await receive()
        parts.append(message.get("body", b""))
        num_bytes += len(parts[-1])
    if message["type"] != "http.request":
        raise ClientGone
    if num_bytes > max_bytes:
        raise TooLarge(f"the body may have at most {max_bytes} bytes")
    return body if len(parts) == 1 else b"".join(parts)


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, R]) -> R:
    """The result of work, which is cancelled when the client hangs up meanwhile.

    Raises:
        ClientGone: It did.
    """
    with ClientWatch(receive):
        return await work


async def respond(
    send: Send,
    body: bytes,
    content_type: bytes = JSON,
    status: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Send a whole response."""
    all_headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> bytes:
    """The value of a header, b"" where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


def check_json(scope: Scope) -> None:
    """Raise MediaTypeUnknown where a request's body is not sent as JSON."""
    kind = media_type(scope)
    if kind != JSON and not kind.endswith(b"+json"):
        told = kind.decode(errors="replace")
        raise MediaTypeUnknown(f"send the body as {JSON.decode()}, not {told!r} (curl has --json for that)")


def media_type(scope: Scope) -> bytes:
    """The media type of a request's body, in lower case and without parameters; JSON where it is not said."""
    return header(scope, b"content-type").partition(b";")[0].strip().lower() or JSON
