"""Ends of sessions: for a while, a tombstone records why a session is over."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence

from service.metrics import Metrics
from service.record.body import BodyUnreadable, decode
from service.record.checkpoint_ids import checkpoint_id, session_of
from service.record.expiry import stored_second
from service.stores.base import CHECKPOINT, Record, Store, Swap

logger = logging.getLogger(__name__)

BURIED_AT_ONCE = 16
LOOK_AGAIN_SECONDS = 86400  # after which an overdue checkpoint that a session lists is overdue again


class Graveyard:
    """Buries sessions.

    Args:
        store: Keeps the tombstones.
        metrics: Counts ends by reason.
        remember_seconds: How long a tombstone is kept.
        clock: Wall-clock seconds since 1970.
        invalidate: Called with the id of each session just before it is buried.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        remember_seconds: int,
        clock: Callable[[], float],
        invalidate: Callable[[str], object],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._remember_seconds = remember_seconds
        self._clock = clock
        self._invalidate = invalidate

    async def bury(self, record: Record, reason: str) -> bool:
        """Replace a record with a tombstone, one step on, so that a step in flight loses its compare-and-swap.

        Returns:
            False if another writer was first.
        """
        return await self.bury_all([record], reason) == 1

    async def bury_all(self, records: Sequence[Record], reason: str) -> int:
        """Bury records in one call to the store.

        Returns:
            How many were buried. For the others, another writer was first.
        """
        if not records:
            return 0
        for record in records:
            self._invalidate(record.session_id)
        written = await self._store.swap([Swap(self._tombstone(record, reason), record.step) for record in records])
        buried = list(itertools.compress(records, written))
        if buried:
            self._metrics.sessions_ended.labels(reason).inc(len(buried))
        if checkpoints := [saved for record in buried for saved in checkpoint_ids(record)]:
            await self._store.delete(checkpoints)
        return len(buried)

    async def clear(self, overdue: list[Record], now: int) -> None:
        """Delete overdue tombstones, bury overdue sessions, and delete overdue checkpoints of sessions that are over.

        A session that has meanwhile been opened under a tombstone's id is left alone.

        Args:
            overdue: Records that are overdue.
            now: The time, seconds since 1970.
        """
        over = [record.session_id for record in overdue if record.ended not in ("", CHECKPOINT)]
        if over:
            await self._store.delete_overdue(over, now)
        idle = [record for record in overdue if not record.ended]
        for start in range(0, len(idle), BURIED_AT_ONCE):
            await self.bury_all(idle[start : start + BURIED_AT_ONCE], "expired")
            await asyncio.sleep(0)  # let other tasks run
        checkpoints = [record for record in overdue if record.ended == CHECKPOINT]
        for start in range(0, len(checkpoints), BURIED_AT_ONCE):
            await self._clear_checkpoints(checkpoints[start : start + BURIED_AT_ONCE], now)
            await asyncio.sleep(0)

    async def _clear_checkpoints(self, overdue: Sequence[Record], now: int) -> None:
        """Delete overdue checkpoints, except those that a session lists, which are overdue again a day later."""
        ids = {each.session_id for each in overdue}
        sessions = await self._store.load(list({session_of(each) for each in ids}))
        kept = {each for record in sessions if isinstance(record, Record) for each in listed(record, ids)}
        await self._store.delete_overdue(list(ids - kept), now)
        later = [each._replace(used_at=now, ttl_seconds=LOOK_AGAIN_SECONDS) for each in overdue]
        if swaps := [Swap(record, record.step) for record in later if record.session_id in kept]:
            await self._store.swap(swaps)

    def _tombstone(self, record: Record, reason: str) -> Record:
        return record._replace(
            step=record.step + 1,
            used_at=stored_second(self._clock()),
            ttl_seconds=self._remember_seconds,
            ended=reason,
            body=b"",
        )


def checkpoint_ids(record: Record) -> list[str]:
    """Return the ids of a session's checkpoint records; none if its body cannot be read, which is logged."""
    try:
        return _checkpoint_ids(record)
    except BodyUnreadable as error:
        logger.error("the checkpoints of session %s cannot be read: %s", record.session_id, error)
        return []


def listed(record: Record, checkpoints: set[str]) -> set[str]:
    """Return those of these checkpoint records that a session lists.

    If its body cannot be read, a newer version may have written it: then all that belong to the session.
    """
    try:
        return checkpoints.intersection(_checkpoint_ids(record))
    except BodyUnreadable:
        return {each for each in checkpoints if session_of(each) == record.session_id}


def _checkpoint_ids(record: Record) -> list[str]:
    all_saved = decode(record.body).checkpoints if record.body else ()
    return [checkpoint_id(record.session_id, saved) for saved in all_saved]
