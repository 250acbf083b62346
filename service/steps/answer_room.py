"""Room for answers in logits, which are a hundred times as large as what was asked: a worker holds so many bytes of
them at a time.

A request whose answer has no room waits for it, in the order of arrival, before it is computed; it leaves the room when
its client has been sent the answer. Small answers have a room of their own, so that they never wait for large ones.
Knows neither sessions nor connections.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

MAX_SMALL_LOGITS = 2**14
NUM_BYTES_OF_SMALL = 32 * 2**20
# What each logit takes until it is sent, with all copies: as JSON in pieces, as a whole body, in a message of text.
IN_PIECES, AS_A_WHOLE, AS_A_MESSAGE = 9, 24, 56


class Holding:
    """What the answer to one request takes, whose steps wait together. Leaving the context gives it back.

    Args:
        bytes_per_logit: What each takes until it is sent.
        num_items: Items in all steps of the request that may return logits; 0 if it has one step.

    Attributes:
        num_bytes: How much it takes.
    """

    __slots__ = ("_bytes_per_logit", "_is_in", "_place", "_then", "num_bytes", "num_items")

    def __init__(self, bytes_per_logit: int, num_items: int = 0) -> None:
        self.num_items = num_items
        self.num_bytes = 0
        self._bytes_per_logit = bytes_per_logit
        self._place: _Place | None = None
        self._is_in = False
        self._then: tuple[Callable[[], None], ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def enter(self, room: "AnswerRoom", num_logits: int, then: Callable[[], None]) -> bool:
        """Take room. The first step of a request takes it for all of them.

        Args:
            room: Of the worker.
            num_logits: In the whole answer.
            then: Called once there is room, unless there is some now.

        Returns:
            Whether there is room now.
        """
        if self._place is None:
            self._place = room.place(num_logits)
            self.num_bytes = min(num_logits * self._bytes_per_logit, self._place.size)
            self._is_in = self._place.enter(self)
        if not self._is_in:
            self._then += (then,)
        return self._is_in

    async def wait(self, room: "AnswerRoom", num_logits: int) -> None:
        """Take room, as soon as there is some."""
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.enter(room, num_logits, lambda: None if admitted.done() else admitted.set_result(None)):
            await admitted

    def admit(self) -> None:
        """Go on, because there is room."""
        self._is_in = True
        then, self._then = self._then, ()
        for go_on in then:
            go_on()

    def leave(self) -> None:
        """Give the room back, or wait for it no longer."""
        place, self._place = self._place, None
        if place is not None:
            self._then = ()
            place.leave(self, self._is_in)


class AnswerRoom:
    """The rooms of a worker: one for answers that are small, one for all others."""

    def __init__(self, num_bytes: int) -> None:
        self._large, self._small = _Place(num_bytes), _Place(NUM_BYTES_OF_SMALL)

    @property
    def num_bytes(self) -> int:
        """How many bytes are in it."""
        return sum(place.size - place.num_free for place in (self._large, self._small))

    def has_left_memory(self) -> bool:
        """Whether large answers have left since this was last asked, and none is there: what they took is free."""
        return self._large.has_emptied()

    def place(self, num_logits: int) -> "_Place":
        """Where an answer goes."""
        return self._small if num_logits <= MAX_SMALL_LOGITS else self._large


class _Place:
    """First come, first served."""

    def __init__(self, size: int) -> None:
        self.size = self.num_free = size
        self._waiting: deque[Holding] = deque()
        self._is_used = False

    def has_emptied(self) -> bool:
        if not self._is_used or self.num_free < self.size:
            return False
        self._is_used = False
        return True

    def enter(self, holding: Holding) -> bool:
        self._is_used = True
        if self._waiting or holding.num_bytes > self.num_free:
            self._waiting.append(holding)
            return False
        self.num_free -= holding.num_bytes
        return True

    def leave(self, holding: Holding, is_in: bool) -> None:
        if is_in:
            self.num_free += holding.num_bytes
        else:
            self._waiting.remove(holding)
        while self._waiting and self._waiting[0].num_bytes <= self.num_free:
            following = self._waiting.popleft()
            self.num_free -= following.num_bytes
            following.admit()
