"""Room for large answers, in logits or of long texts' words, which are a hundred times as large as their requests.

It limits the bytes of them that a worker holds at a time. A request whose answer has no room waits, in order of
arrival, before any of its steps begins, so that it holds nothing up; it leaves the room once its client has been sent
the answer. Small answers need no room. Knows neither sessions nor connections.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from service.concurrency.deadline import deadline
from service.steps.large_logits import MANY_LOGITS
from service.tasks.task import MAX_ANSWERED_VALUES

# Bytes per logit until it is sent, with all copies: as JSON in pieces, as a whole body, in a text message.
IN_PIECES, AS_A_WHOLE, AS_A_MESSAGE = 9, 24, 56


class AnswerRoom:
    """The room of a worker.

    Args:
        num_bytes: Size of the room.
        timeout_seconds: How long a request may wait for room.
        max_num_logits: Returns the largest number of logits per item of any served model.
    """

    def __init__(self, num_bytes: int, timeout_seconds: float, max_num_logits: Callable[[], int]) -> None:
        self._size = self._num_free = num_bytes
        self._timeout_seconds = timeout_seconds
        self._max_num_logits = max_num_logits
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._has_been_used = False

    @property
    def num_bytes(self) -> int:
        """Number of bytes taken."""
        return self._size - self._num_free

    def is_needed(self, num_items: int) -> bool:
        """Return whether the logits of this many items may need room. Their model is not known yet."""
        return num_items * self._max_num_logits() > MANY_LOGITS

    def of_items(self, num_items: int, bytes_per_logit: int) -> "Holding":
        """Return the holding for the logits of this many items, of any model."""
        return self.of_logits(num_items * self._max_num_logits(), bytes_per_logit)

    def of_logits(self, num_logits: int, bytes_per_logit: int) -> "Holding":
        """Return the holding for an answer of this many logits. One larger than the room takes all of it."""
        is_small = num_logits <= MANY_LOGITS
        return self.of_bytes(0 if is_small else min(num_logits, MAX_ANSWERED_VALUES) * bytes_per_logit)

    def of_bytes(self, num_bytes: int) -> "Holding":
        """Return the holding for an answer of this many bytes."""
        return Holding(self, min(num_bytes, self._size))

    def take(self, num_bytes: int) -> bool:
        """Take room now, and return True; or return False if the request must wait for it."""
        if self._waiting or num_bytes > self._num_free:
            return False
        self._has_been_used = True
        self._num_free -= num_bytes
        return True

    async def wait(self, num_bytes: int) -> None:
        """Take room as soon as there is enough and earlier requests have theirs.

        Raises:
            DeadlineExceeded: There was not enough in time.
        """
        if self.take(num_bytes):
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((num_bytes, admitted))
        try:
            async with deadline(self._timeout_seconds):
                await admitted
        except BaseException:
            if admitted.done() and not admitted.cancelled():  # it was admitted at the same time
                self.give_back(num_bytes)
            else:
                admitted.cancel()
                self._admit()
            raise

    def give_back(self, num_bytes: int) -> None:
        """Release bytes that were taken."""
        self._num_free += num_bytes
        self._admit()

    def has_emptied(self) -> bool:
        """Return whether the room was used since the last such call and is empty again, with nobody waiting."""
        if not self._has_been_used or self.num_bytes or self._waiting:
            return False
        self._has_been_used = False
        return True

    def _admit(self) -> None:
        while self._waiting:
            num_bytes, admitted = self._waiting[0]
            if not admitted.done():
                if num_bytes > self._num_free:
                    return
                self._has_been_used = True
                self._num_free -= num_bytes
                admitted.set_result(None)
            self._waiting.popleft()


class Holding:
    """The room that the answer to one request takes. Leaving the context releases it.

    Attributes:
        num_bytes: Its size; 0 for a small answer.
        is_in: Whether it has been taken.
    """

    __slots__ = ("_is_over", "_room", "is_in", "num_bytes")

    def __init__(self, room: AnswerRoom, num_bytes: int) -> None:
        self._room = room
        self._is_over = False
        self.num_bytes = num_bytes
        self.is_in = not num_bytes or room.take(num_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    async def wait(self) -> None:
        """Take the room as soon as there is enough. Return at once if it has been taken.

        Raises:
            DeadlineExceeded: There was not enough in time.
        """
        if self.is_in:
            return
        await self._room.wait(self.num_bytes)
        self.is_in = True
        if self._is_over:
            self._is_over = False
            self.leave()

    def leave(self) -> None:
        """Release the room, once."""
        if self.is_in and self.num_bytes and not self._is_over:
            self._room.give_back(self.num_bytes)
        self._is_over = True
