"""Housekeeping of the store: buries overdue sessions, and evicts the idlest ones to make room."""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from service.metrics import Metrics
from service.sessions.graveyard import Graveyard
from service.stores.base import Record, Store
from service.stores.outage import or_logged

logger = logging.getLogger(__name__)

EVICTED_AT_ONCE = 16
EXPIRED_AT_ONCE = 16
MAX_EVICTIONS = 8
MANY_OVERDUE = 1000
MAX_LOOKED_AT = 128  # records that a search loads at once if steps in flight keep most of them alive
EVICTIONS_LOGGED_SECONDS = 60.0
SWEEP_RECORDS = 64  # loaded at once: each may have a quarter of a megabyte of kept inputs


class Housekeeping:
    """Keeps the store in order.

    Args:
        store: The store.
        metrics: `measure` sets their gauges.
        graveyard: Buries sessions.
        max_store_bytes: The store's budget for bytes of records.
        is_under_way: Returns whether a session has a step in flight here, which keeps it alive.
        clock: Wall-clock seconds since 1970, by which what is overdue is not kept.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        graveyard: Graveyard,
        max_store_bytes: int,
        is_under_way: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._graveyard = graveyard
        self._max_store_bytes = max_store_bytes
        self._is_under_way = is_under_way
        self._clock = clock
        self._num_unlogged = 0
        self._logged_at = float("-inf")

    async def sweep(self) -> int:
        """Bury or delete overdue records, and evict sessions until the store is within its budget of bytes.

        Returns:
            How many records were overdue.
        """
        num_swept = 0
        if self._store.is_moved:
            return num_swept
        while True:
            now = int(self._clock())
            over = await self._first(partial(self._store.overdue, now), SWEEP_RECORDS)
            await self._graveyard.clear(over, now)
            num_swept += len(over)
            if len(over) < SWEEP_RECORDS:
                break
        if num_swept >= MANY_OVERDUE:
            logger.info("%d sessions, ends and checkpoints were overdue", num_swept)
        for _ in range(MAX_EVICTIONS):
            count = await self._store.count()
            if count.num_bytes <= self._max_store_bytes or not await self.make_room(EVICTED_AT_ONCE):
                break
        return num_swept

    async def make_room(self, most: int) -> int:
        """End overdue sessions, or if there are none, at most this many of the least recently used.

        Returns:
            How many there were, whether ended here or by another process.
        """
        return await self.expire_of(None) or await self.evict(most)

    async def expire_of(self, owner: str | None) -> int:
        """Bury the overdue sessions of an owner, or of all if that is None, except those with a step in flight here.

        Returns:
            How many were found, whether buried here or by another process.
        """
        over = await self._first(partial(self._store.overdue_of, owner, int(self._clock())), EXPIRED_AT_ONCE)
        await self._graveyard.bury_all(over, "expired")
        return len(over)

    async def measure(self) -> None:
        """Update the gauges. If the store is unreachable, they keep their values, so that /metrics still works."""
        await or_logged(self._count())

    async def _count(self) -> None:
        count = await self._store.count()
        self._metrics.sessions_active.set(count.num_live)
        self._metrics.state_bytes.set(count.num_bytes)

    async def evict(self, most: int) -> int:
        """End the least recently used sessions, except those with a step in flight here.

        Returns:
            How many there were, whether ended here or by another process.
        """
        idle = await self._first(self._store.idlest, most)
        self._log_evictions(await self._graveyard.bury_all(idle, "evicted"))
        return len(idle)

    def _log_evictions(self, num_evicted: int) -> None:
        """Log that sessions were evicted, at most one line every EVICTIONS_LOGGED_SECONDS."""
        self._num_unlogged += num_evicted
        now = time.monotonic()
        if num_evicted and now >= self._logged_at + EVICTIONS_LOGGED_SECONDS:
            logger.warning(
                "the session store is full: least recently used sessions were evicted (UNROLLED_MAX_SESSIONS, "
                "UNROLLED_MAX_STORE_BYTES), %d since the last such line",
                self._num_unlogged,
            )
            self._num_unlogged, self._logged_at = 0, now

    async def _first(self, find: Callable[[int], Awaitable[list[Record]]], most: int) -> list[Record]:
        """Return the first records that a search finds, except sessions with a step in flight here.

        Args:
            find: Returns the first records, at most the given number.
            most: The largest number to return.
        """
        limit = most
        while True:
            found = await find(limit)
            free = [record for record in found if not self._is_under_way(record.session_id)]
            if len(free) >= most or len(found) < limit or limit >= MAX_LOOKED_AT:
                return free[:most]
            limit = min(4 * limit, MAX_LOOKED_AT)
