"""Room for more live records on Redis, as far as one process knows: in the whole store, or for one owner."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from service.stores.base import Count, Full

STALE_SECONDS = 1.0
NOTHING = Count(0, 0)


class Room:
    """The last count, plus what this process has changed since and what it is opening now.

    What other processes have opened since is not known, so a limit may be exceeded by what all others open within
    STALE_SECONDS. A refusal always rests on a fresh count, taken while this process is opening nothing.

    Args:
        count: Counts what there is.
        refusal: Returns the refusal of new records (second) beside those taken (first), or None if they fit.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        count: Callable[[], Awaitable[Count]],
        refusal: Callable[[Count, Count], Full | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._refusal = refusal
        self._clock = clock
        self._taken = NOTHING
        self._opening = NOTHING
        self._stale_at = float("-inf")
        self._refreshing = asyncio.Lock()
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def is_unused(self) -> bool:
        """Whether nothing is being opened now."""
        return self._settled.is_set() and not self._refreshing.locked()

    @asynccontextmanager
    async def opening(self, new: Count) -> AsyncIterator[None]:
        """Reserve room while new records are being opened.

        Raises:
            Full: There is none.
        """
        async with self._refreshing:
            if refusal := await self._certain_refusal(new):
                raise refusal
            self._opening = self._opening.plus(new)
            self._settled.clear()
        try:
            yield
        finally:
            self._opening = self._opening.minus(new)
            if self._opening == NOTHING:
                self._settled.set()

    def add(self, change: Count) -> None:
        """Add a change made by this process."""
        self._taken = self._taken.plus(change)

    def forget(self) -> None:
        """Count again before the next use, because it is not known what has changed."""
        self._stale_at = float("-inf")

    async def _certain_refusal(self, new: Count) -> Full | None:
        is_certain = False
        if self._clock() >= self._stale_at:
            is_certain = self._settled.is_set()
            await self._refresh()
        refusal = self._refusal(self._taken.plus(self._opening), new)
        if refusal is None or is_certain:
            return refusal
        await self._settled.wait()
        await self._refresh()
        return self._refusal(self._taken, new)

    async def _refresh(self) -> None:
        """Count. No opening starts meanwhile; those that end meanwhile may not have been counted, so they are added."""
        opening = self._opening
        counted = await self._count()
        self._taken = counted.plus(opening.minus(self._opening))
        self._stale_at = self._clock() + STALE_SECONDS
