"""The number of live sessions of each owner on Redis, as far as one process knows, and whether one more may open."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from service.stores.base import Count, QuotaReached
from service.stores.limits import Limits
from service.stores.redis.room import Room

MAX_KNOWN_OWNERS = 10_000


class RedisQuota:
    """The limit on each owner's live records, with a Room per owner.

    Args:
        limits: Its `max_sessions_per_owner` is the largest number of live records of one owner, 0 for no limit.
        count_of: Reads an owner's number of live records.
        clock: Monotonic seconds.
    """

    def __init__(
        self, limits: Limits, count_of: Callable[[str], Awaitable[int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._count_of = count_of
        self._clock = clock
        self._rooms: dict[str, Room] = {}

    @asynccontextmanager
    async def opening(self, owners: Mapping[str, int]) -> AsyncIterator[None]:
        """Reserve room while this many records of each owner are being opened.

        Afterwards they are assumed to exist. If they do not, a new count corrects that before anyone is refused.

        Raises:
            QuotaReached: An owner would have more than allowed.
        """
        async with AsyncExitStack() as kept:
            for owner in sorted(owners) if self._limits.max_sessions_per_owner else ():
                room, new = self._room_of(owner), Count(owners[owner], 0)
                await kept.enter_async_context(room.opening(new))
                kept.callback(room.add, new)
            yield

    async def _count(self, owner: str) -> Count:
        return Count(await self._count_of(owner), 0)

    def _refusal(self, taken: Count, new: Count) -> QuotaReached | None:
        return self._limits.quota_refusal(taken.num_live, new.num_live)

    def _room_of(self, owner: str) -> Room:
        """Return an owner's room. If there are too many rooms, the least recently used is forgotten."""
        room = self._rooms.pop(owner, None)
        if room is None:
            room = Room(partial(self._count, owner), self._refusal, self._clock)
            if len(self._rooms) >= MAX_KNOWN_OWNERS:
                self._forget_one()
        self._rooms[owner] = room
        return room

    def _forget_one(self) -> None:
        unused = next((owner for owner, room in self._rooms.items() if room.is_unused), None)
        if unused is not None:
            del self._rooms[unused]
