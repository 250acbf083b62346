"""HTTP for the hot paths: a body in, a response out, with no framework in between."""

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from service.api.client_watch import (
    SLOW_BYTES_PER_SECOND,
    SLOW_READER_SECONDS,
    ClientGone,
    ClientSlow,
    ClientWatch,
)
from service.api.endpoint import Endpoint
from service.api.headers import header
from service.api.media_types import JSON
from service.errors import EncodingUnknown, InvalidInput, MediaTypeUnknown, TooLarge
from service.steps.answer_room import Holding

R = TypeVar("R")

_JSON = JSON.encode()
PIECE_BYTES = 2**18


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Read the whole body of a request.

    Raises:
        TooLarge: It has more bytes than allowed.
        ClientGone: The client hung up before all of it arrived.
    """
    _check_announced(scope, max_bytes)  # before the client is told to send it (`Expect: 100-continue`)
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
        raise too_large(max_bytes)
    return body if len(parts) == 1 else b"".join(parts)


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, R]) -> R:
    """Return the result of work, and cancel the work if the client hangs up.

    Raises:
        ClientGone: The client hung up.
    """
    with ClientWatch(receive):
        return await work


async def enter_room(holding: Holding, receive: Receive) -> None:
    """Wait for room for an answer.

    Raises:
        DeadlineExceeded: There was not enough in time.
        ClientGone: The client hung up.
    """
    if not holding.is_in:
        await cancel_on_disconnect(receive, holding.wait())


async def respond(
    send: Send,
    body: bytes,
    content_type: bytes = _JSON,
    status: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Send a whole response; a large one piece by piece, as the client reads it.

    Raises:
        ClientSlow: The client does not read it in time.
    """
    if len(body) > PIECE_BYTES:
        length = (b"content-length", b"%d" % len(body))
        pieces = (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))
        await respond_in_pieces(send, pieces, content_type, status, [length, *(headers or ())])
        return
    all_headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


async def respond_in_pieces(
    send: Send,
    pieces: Iterable[bytes],
    content_type: bytes = _JSON,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a response piece by piece, each when the client has read most of the previous ones.

    Raises:
        ClientSlow: The client does not read them in time.
    """
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), *headers]}
    )
    try:
        async with asyncio.timeout(SLOW_READER_SECONDS) as patience:
            for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)  # what was written goes out at the end of the event loop's turn
                patience.reschedule((patience.when() or 0.0) + len(piece) / SLOW_BYTES_PER_SECOND)
            await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        raise ClientSlow from None


def check_query(scope: Scope, endpoint: Endpoint) -> None:
    """Raise InvalidInput for an unknown parameter: if a misspelt step number were ignored, a retry would step twice.

    Only endpoints with `checks_query` are checked: probes, and the endpoints of other protocols, take any.
    """
    if not scope["query_string"] or not endpoint.checks_query:
        return
    names = {name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)}
    if unknown := sorted(names - endpoint.query_names):
        known = sorted(endpoint.query_names)
        none = "this path takes none, but fields of a body" if endpoint.request else "this path takes none"
        there_are = f"there are {known}" if known else none
        raise InvalidInput(f"there is no such parameter; {there_are}", (unknown[0],))


def check_json(scope: Scope) -> None:
    """Raise MediaTypeUnknown if a request's body is not sent as JSON."""
    check_encoding(scope)
    check_media_type(media_type(scope))


def check_media_type(kind: str, instead: Collection[str] = ()) -> None:
    """Raise MediaTypeUnknown if a body is neither JSON nor of a type in `instead`."""
    if kind != JSON and not kind.endswith("+json") and kind not in instead:
        wanted = " or ".join(instead) or f"{JSON} (curl has --json for that)"
        raise MediaTypeUnknown(f"send the body as {wanted}, not as {kind!r}")


def check_encoding(scope: Scope) -> None:
    """Raise EncodingUnknown if a body is compressed."""
    encoding = header(scope["headers"], b"content-encoding").decode(errors="replace").strip().lower()
    if encoding not in ("", "identity"):
        raise EncodingUnknown(f"send the body as it is, not in {encoding!r}")


def media_type(scope: Scope) -> str:
    """Return the media type of a request's body, in lower case, without parameters. JSON if there is no header."""
    kind = header(scope["headers"], b"content-type").partition(b";")[0].strip().lower()
    return kind.decode(errors="replace") or JSON


def _check_announced(scope: Scope, max_bytes: int) -> None:
    """Raise TooLarge if the body's announced length is too large."""
    announced = header(scope["headers"], b"content-length")
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_large(max_bytes)


def too_large(max_bytes: int) -> TooLarge:
    """Return the refusal of a body that is too large."""
    return TooLarge(f"the body may have at most {max_bytes} bytes")
