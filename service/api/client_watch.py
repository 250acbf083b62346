"""Cancels the work for a client that has hung up: nothing is committed, and others get its place in a batch."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Message, Receive

CLIENT_CLOSED_REQUEST = 499  # nginx's status for it
# A client may take this long to read an answer, and longer by what its bytes take at this speed.
SLOW_READER_SECONDS = 20.0
SLOW_BYTES_PER_SECOND = 2**20


class ClientGone(Exception):
    """The client hung up before it was answered."""


class ClientSlow(Exception):
    """The client has not read its answer in time."""


class ClientWatch:
    """A context manager that cancels the current task when the client hangs up, and then raises ClientGone.

    Attributes:
        gone: Resolves to the message that reports the disconnection.

    Args:
        receive: ASGI's, with the whole body already read: the next message is the disconnection.
    """

    def __init__(self, receive: Receive) -> None:
        self.gone: asyncio.Future[Message] = asyncio.ensure_future(receive())
        self._worker = asyncio.current_task()
        self._is_over = False
        self._is_cancelled = False

    def end(self) -> None:
        """Stop watching: the answer is being sent, and servers report a disconnection after an answer, too."""
        self._is_over = True  # the callback may already be scheduled
        self.gone.remove_done_callback(self._cancel)

    def __enter__(self) -> Self:
        self.gone.add_done_callback(self._cancel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self.gone.cancel()
        is_ours = self._is_cancelled and self._worker is not None and not self._worker.uncancel()
        if is_ours and isinstance(error, asyncio.CancelledError):
            raise ClientGone from None

    def _cancel(self, gone: asyncio.Future[Message]) -> None:
        if self._worker is not None and not self._is_over and not gone.cancelled():
            self._is_cancelled = True
            self._worker.cancel()
