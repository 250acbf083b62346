"""A WebSocket that is read and written by plain calls, without a task on either side.

A server that offers it puts it into a connection's scope. The handshake and the end still go through ASGI, as does
everything in an application that does not use the channel.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from starlette.types import Message, Scope

_CHANNEL = "unrolled.channel"


class Channel(Protocol):
    """The channel that a server offers."""

    @property
    def is_writable(self) -> bool:
        """Whether a message would be sent now without waiting."""

    async def drained(self) -> None:
        """Wait until the client has read nearly all that was sent, or is gone."""

    def deliver_to(self, take: Callable[[Message], None]) -> None:
        """Pass every message from now on to `take`, and none to ASGI's `receive`."""

    def release(self, messages: Iterable[Message]) -> None:
        """Pass these messages, and all that follow, to ASGI's `receive` again."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Resume reading."""

    def send_now(self, message: Message, at_once: bool) -> None:
        """Send a `websocket.send` without waiting: at once, or with others at the end of the event loop's turn."""


def offer(scope: Scope, channel: Channel) -> None:
    """Put a channel into a scope."""
    scope[_CHANNEL] = channel


def channel_of(scope: Scope) -> Channel | None:
    """Return the channel of a scope, or None."""
    found: Channel | None = scope.get(_CHANNEL)
    return found


def withdraw(scope: Scope) -> None:
    """Take the channel, if there is one, out of a scope."""
    scope.pop(_CHANNEL, None)
