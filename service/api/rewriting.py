"""Rewriting of responses."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send


def rewriting(
    is_held: Callable[[int, bytes], bool],
    rewritten: Callable[[int, bytes], Response],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> Send:
    """Return a `send` that collects a response and sends another in its place.

    Args:
        is_held: Whether to rewrite a response, by its status and content type.
        rewritten: The new response, from the status and the body. Headers that do not describe the body are kept.
        scope, receive, send: Of the request.
    """
    held: list[Message] = []

    async def rewrite(message: Message) -> None:
        if message["type"] == "http.response.start" and is_held(message["status"], _content_type(message)):
            held.append(message)
        elif not held:
            await send(message)
        else:
            held.append(message)
            if not message.get("more_body", False):
                response = rewritten(held[0]["status"], b"".join(part.get("body", b"") for part in held[1:]))
                response.raw_headers.extend(_kept_headers(held[0]))
                await response(scope, receive, send)

    return rewrite


def _content_type(start: Message) -> bytes:
    found: bytes = next((value for name, value in start["headers"] if name.lower() == b"content-type"), b"")
    return found


def _kept_headers(start: Message) -> list[tuple[bytes, bytes]]:
    """Headers that do not describe the old body, such as Allow."""
    return [(name, value) for name, value in start["headers"] if not name.lower().startswith(b"content-")]
