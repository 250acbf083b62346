"""How many sessions of an owner's live on Redis: what the scripts count, once it is known to be right.

A version that counted no live records by owner, and shares the server, or did before, leaves its sessions uncounted. In
each shard the live are counted in all and by owner, so it shows: such a shard is filed again.
"""

import asyncio
import time
from collections.abc import Callable

from service.stores.redis.index import Index

LOOK_AGAIN_SECONDS = 600.0


class Owners:
    """Counts live records by owner.

    Args:
        index: Where they are counted.
        clock: Seconds that only grow.
    """

    def __init__(self, index: Index, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._clock = clock
        self._looking = asyncio.Lock()
        self._look_at = float("-inf")

    async def count_of(self, owner: str) -> int:
        """Live records of an owner."""
        if self._clock() >= self._look_at:
            await self._look()
        return await self._index.live_of(owner)

    async def _look(self) -> None:
        """File the shards again whose live records are not all counted by owner."""
        async with self._looking:
            if self._clock() < self._look_at:
                return
            await self._index.refile(await self._index.not_owned())
            self._look_at = self._clock() + LOOK_AGAIN_SECONDS
