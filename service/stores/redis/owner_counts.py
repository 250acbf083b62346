"""An owner's number of live sessions on Redis: the scripts' counts, once they are known to be right.

An older version that does not count live records by owner, and shares the server or did so before, leaves its sessions
uncounted. A shard's total of live records then differs from its sum over owners, and its indexes are rebuilt.
"""

import asyncio
import time
from collections.abc import Callable

from service.stores.redis.index import Index

CHECK_SECONDS = 600.0


class OwnerCounts:
    """Counts live records by owner.

    Args:
        index: Has the counts.
        clock: Monotonic seconds.
    """

    def __init__(self, index: Index, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._clock = clock
        self._checking = asyncio.Lock()
        self._check_at = float("-inf")

    async def count_of(self, owner: str) -> int:
        """Return an owner's number of live records."""
        if self._clock() >= self._check_at:
            await self._check()
        return await self._index.live_of(owner)

    async def _check(self) -> None:
        """Rebuild the indexes of shards whose live records are not all counted by owner."""
        async with self._checking:
            if self._clock() < self._check_at:
                return
            await self._index.rebuild(await self._index.not_owned())
            self._check_at = self._clock() + CHECK_SECONDS
