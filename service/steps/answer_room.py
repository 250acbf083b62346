"""Room for answers in logits, or of the words of long texts, which are a hundred times as large as what was asked: a
worker holds so many bytes of them at a time.

A request whose answer has no room waits, in the order of arrival, before any of its steps begins, so that it holds
nothing up; it leaves the room when its client has been sent the answer. Small answers need no room. Knows neither
sessions nor connections.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from service.concurrency.deadline import deadline
from service.steps.large_logits import MANY_LOGITS
from service.tasks.task import MAX_ANSWERED_VALUES

# What each logit takes until it is sent, with all copies: as JSON in pieces, as a whole body, in a message of text.
IN_PIECES, AS_A_WHOLE, AS_A_MESSAGE = 9, 24, 56


class AnswerRoom:
    """The room of a worker.

    Args:
        num_bytes: How much there is.
        timeout_seconds: How long a request may wait for some.
        widest: Returns the most logits that any served model has of an item.
    """

    def __init__(self, num_bytes: int, timeout_seconds: float, widest: Callable[[], int]) -> None:
        self._size = self._num_free = num_bytes
        self._timeout_seconds = timeout_seconds
        self._widest = widest
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._has_been_used = False

    @property
    def num_bytes(self) -> int:
        """How much is taken."""
        return self._size - self._num_free

    def is_needed(self, num_items: int) -> bool:
        """Whether an answer in the logits of so many items is not small. Of which model they are is not known yet."""
        return num_items * self._widest() > MANY_LOGITS

    def of_items(self, num_items: int, bytes_per_logit: int) -> "Holding":
        """What such an answer takes."""
        return self.of_logits(num_items * self._widest(), bytes_per_logit)

    def of_logits(self, num_logits: int, bytes_per_logit: int) -> "Holding":
        """What an answer takes. One that would take more than there is has all of it alone."""
        is_small = num_logits <= MANY_LOGITS
        return self.of_bytes(0 if is_small else min(num_logits, MAX_ANSWERED_VALUES) * bytes_per_logit)

    def of_bytes(self, num_bytes: int) -> "Holding":
        """The same, of one that takes so many bytes until it is sent."""
        return Holding(self, min(num_bytes, self._size))

    def take(self, num_bytes: int) -> bool:
        """Take some now. Returns False if it must be waited for."""
        if self._waiting or num_bytes > self._num_free:
            return False
        self._has_been_used = True
        self._num_free -= num_bytes
        return True

    async def wait(self, num_bytes: int) -> None:
        """Take some as soon as it is there and those who came before have theirs.

        Raises:
            DeadlineExceeded: It was not there in time.
        """
        if self.take(num_bytes):
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((num_bytes, admitted))
        try:
            async with deadline(self._timeout_seconds):
                await admitted
        except BaseException:
            if admitted.done() and not admitted.cancelled():  # in the same moment
                self.give_back(num_bytes)
            else:
                admitted.cancel()
                self._admit()
            raise

    def give_back(self, num_bytes: int) -> None:
        """Give back what was taken."""
        self._num_free += num_bytes
        self._admit()

    def has_emptied(self) -> bool:
        """Whether it was used since this was last asked, and nobody is there any more."""
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
    """What the answer to one request takes of the room. Leaving the context gives it back.

    Attributes:
        num_bytes: How much. 0 if it is small.
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
        """Take it, as soon as it is there; at once if it has been taken.

        Raises:
            DeadlineExceeded: It was not there in time.
        """
        if self.is_in:
            return
        await self._room.wait(self.num_bytes)
        self.is_in = True
        if self._is_over:
            self._is_over = False
            self.leave()

    def leave(self) -> None:
        """Give it back, once."""
        if self.is_in and self.num_bytes and not self._is_over:
            self._room.give_back(self.num_bytes)
        self._is_over = True
