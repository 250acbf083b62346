"""How many sessions of each owner live on Redis, as far as one process knows, and whether another may."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager

from service.stores.base import QuotaReached
from service.stores.redis_room import STALE_SECONDS

MAX_KNOWN_OWNERS = 10_000


class RedisQuota:
    """How many live records an owner may have: the same for each.

    Known are an owner's count as it was last read and what this process has opened since. What others have opened
    since is not: the quota may be exceeded by what all other processes open for an owner within STALE_SECONDS. A
    refusal is always made by a fresh count, while nothing that this process opens for the owner is under way.

    Args:
        most: Live records of one owner; 0 for as many as find room.
        count_of: Reads how many of an owner's live.
        clock: Seconds that only grow.
    """

    def __init__(
        self, most: int, count_of: Callable[[str], Awaitable[int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._count_of = count_of
        self._clock = clock
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def opening(self, owners: Mapping[str, int]) -> AsyncIterator[None]:
        """While so many records of each owner are being opened, room is kept for them.

        Raises:
            QuotaReached: One owner may not have so many more.
        """
        with ExitStack() as kept:
            for owner in sorted(owners) if self._most else ():
                share = self._share_of(owner)
                await self._keep(owner, share, owners[owner])
                kept.callback(share.settle, owners[owner])
            yield

    async def _keep(self, owner: str, share: "_Share", num_new: int) -> None:
        async with share.looking:
            is_certain = False
            if self._clock() >= share.stale_at:
                await self._learn(owner, share)
                is_certain = share.settled.is_set()
            if not is_certain and share.num_expected + num_new > self._most:
                await share.settled.wait()
                await self._learn(owner, share)
            if share.num_expected + num_new > self._most:
                raise QuotaReached(share.num_live, self._most)
            share.keep(num_new)

    async def _learn(self, owner: str, share: "_Share") -> None:
        share.num_live = await self._count_of(owner)
        share.stale_at = self._clock() + STALE_SECONDS

    def _share_of(self, owner: str) -> "_Share":
        """What is known of an owner; of those that nobody has asked for the longest it is forgotten."""
        share = self._shares.pop(owner, None)
        if share is None:
            share = _Share()
            if len(self._shares) >= MAX_KNOWN_OWNERS:
                self._forget_one()
        self._shares[owner] = share
        return share

    def _forget_one(self) -> None:
        unused = next((owner for owner, share in self._shares.items() if share.is_unused), None)
        if unused is not None:
            del self._shares[unused]


class _Share:
    """One owner's live records.

    Attributes:
        num_live: As last read, and those that were opened since.
        num_opening: Those that are being opened.
        stale_at: When the count should be read again.
        looking: Held by who finds out whether there is room.
        settled: Set while none are being opened.
    """

    def __init__(self) -> None:
        self.num_live = 0
        self.num_opening = 0
        self.stale_at = float("-inf")
        self.looking = asyncio.Lock()
        self.settled = asyncio.Event()
        self.settled.set()

    @property
    def num_expected(self) -> int:
        """How many will live."""
        return self.num_live + self.num_opening

    @property
    def is_unused(self) -> bool:
        """Whether nobody asks now."""
        return self.settled.is_set() and not self.looking.locked()

    def keep(self, num_new: int) -> None:
        """Count in what is about to be opened."""
        self.num_opening += num_new
        self.settled.clear()

    def settle(self, num_new: int) -> None:
        """What was about to be opened has been, or perhaps not: too many are put right before anybody is refused."""
        self.num_opening -= num_new
        self.num_live += num_new
        if not self.num_opening:
            self.settled.set()
