"""Sessions in this process's memory: for tests, and for a single worker that may lose them."""

import time
from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from service.stores.base import CHECKPOINT, SECONDS_PER_MINUTE, Count, Damaged, Inspection, Record, Swap, SwapGroup
from service.stores.limits import Limits


class MemoryStore:
    """Dictionaries behind the store contract.

    Args:
        limits: How much it may hold.
    """

    backend = "memory"
    is_immediate = True
    is_moved = False

    def __init__(self, limits: Limits) -> None:
        self.clock: Callable[[], float] = time.time
        self._limits = limits
        self._records: dict[str, Record] = {}
        self._ids_by_owner: defaultdict[str, list[str]] = defaultdict(list)
        self._by_use = _Minutes()
        self._by_expiry = _Minutes()
        self._bundles: Counter[str] = Counter()
        self._num_live_by_owner: dict[str, int] = {}
        self._num_bytes = 0
        self._notes: dict[str, bytes] = {}

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        return [self._records.get(session_id) for session_id in session_ids]

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        planned: dict[str, Record] = {}
        won = [self._plan(planned, swap) for swap in swaps]
        opened = {swap.record.session_id for swap in swaps if swap.is_opening}
        self._check_limits([planned[each] for each in planned if each not in self._records or each in opened])
        for session_id, record in planned.items():
            self._put(session_id, record)
        return won

    async def advance(self, groups: Sequence[SwapGroup]) -> list[list[bool]]:
        won = iter(await self.swap([swap for group in groups for swap in group.swaps()]))
        return [list(islice(won, len(group.steps))) for group in groups]

    async def delete(self, session_ids: Sequence[str]) -> None:
        for session_id in session_ids:
            self._put(session_id, None)

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        for session_id in session_ids:
            record = self._records.get(session_id)
            if record is not None and record.ended and record.expires_at <= now:
                self._put(session_id, None)

    async def overdue(self, now: int, limit: int) -> list[Record]:
        due = (self._records[session_id] for session_id in self._by_expiry.until(now // SECONDS_PER_MINUTE))
        return list(islice((record for record in due if record.expires_at <= now), limit))

    async def overdue_of(self, owner: str | None, now: int, limit: int) -> list[Record]:
        due = self._by_expiry.until(now // SECONDS_PER_MINUTE)
        records = map(self._records.__getitem__, due if owner is None else self._ids_by_owner.get(owner, []))
        return list(islice((record for record in records if not record.ended and record.expires_at <= now), limit))

    async def idlest(self, limit: int) -> list[Record]:
        return [self._records[session_id] for session_id in islice(self._by_use.until(None), limit)]

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        ids = self._ids_by_owner.get(owner, [])
        first = bisect_right(ids, after)
        return [self._records[session_id] for session_id in ids[first : first + limit]]

    async def count(self) -> Count:
        return Count(self._bundles.total(), self._num_bytes)

    async def count_of(self, owner: str) -> int:
        return self._num_live_of(owner)

    async def bundles(self) -> dict[str, int]:
        return dict(+self._bundles)

    async def note(self, name: str, value: bytes | None) -> None:
        if value is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = value

    async def note_once(self, name: str, value: bytes) -> bytes:
        return self._notes.setdefault(name, value)

    async def notes(self, prefix: str) -> dict[str, bytes]:
        return {name: value for name, value in self._notes.items() if name.startswith(prefix)}

    async def inspect(self) -> Inspection:
        return Inspection(["sessions live in this process's memory and are forgotten at its end"])

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _plan(self, planned: dict[str, Record], swap: Swap) -> bool:
        """Plan a swap if it wins against the record that is stored, or planned before it."""
        session_id = swap.record.session_id
        before = planned.get(session_id) or self._records.get(session_id)
        if (None if before is None else before.step) != swap.expected_step:
            return False
        planned[session_id] = swap.record
        return True

    def _check_limits(self, records: list[Record]) -> None:
        live = [record for record in records if not record.ended]
        owners, num_bytes = [record.owner for record in live], sum(len(record.body) for record in live)
        self._limits.check(owners, num_bytes, Count(self._bundles.total(), self._num_bytes), self._num_live_of)

    def _put(self, session_id: str, record: Record | None) -> None:
        before = self._records.pop(session_id, None)
        if before is not None:
            self._withdraw(before)
        if record is not None:
            self._records[session_id] = record
            self._enter(record)

    def _enter(self, record: Record) -> None:
        self._num_bytes += len(record.body)
        self._by_expiry.add(record.expires_at // SECONDS_PER_MINUTE, record.session_id)
        if record.ended != CHECKPOINT:
            insort(self._ids_by_owner[record.owner], record.session_id)
        if not record.ended:
            self._by_use.add(record.used_at // SECONDS_PER_MINUTE, record.session_id)
            self._bundles[record.bundle] += 1
            self._num_live_by_owner[record.owner] = self._num_live_of(record.owner) + 1

    def _withdraw(self, record: Record) -> None:
        self._num_bytes -= len(record.body)
        self._by_expiry.discard(record.expires_at // SECONDS_PER_MINUTE, record.session_id)
        if record.ended != CHECKPOINT:
            self._withdraw_from_owner(record)
        if not record.ended:
            self._by_use.discard(record.used_at // SECONDS_PER_MINUTE, record.session_id)
            self._bundles[record.bundle] -= 1
            self._withdraw_live(record.owner)

    def _num_live_of(self, owner: str) -> int:
        return self._num_live_by_owner.get(owner, 0)

    def _withdraw_live(self, owner: str) -> None:
        self._num_live_by_owner[owner] -= 1
        if not self._num_live_by_owner[owner]:
            del self._num_live_by_owner[owner]

    def _withdraw_from_owner(self, record: Record) -> None:
        ids = self._ids_by_owner[record.owner]
        del ids[bisect_right(ids, record.session_id) - 1]
        if not ids:
            del self._ids_by_owner[record.owner]


class _Minutes:
    """Ids by minute, the earliest first."""

    def __init__(self) -> None:
        self._ids: dict[int, dict[str, None]] = {}

    def add(self, minute: int, session_id: str) -> None:
        self._ids.setdefault(minute, {})[session_id] = None

    def discard(self, minute: int, session_id: str) -> None:
        del self._ids[minute][session_id]
        if not self._ids[minute]:
            del self._ids[minute]

    def until(self, last: int | None) -> Iterator[str]:
        """Yield the ids of all minutes up to `last`, or of all minutes if that is None."""
        for minute in sorted(self._ids):
            if last is not None and minute > last:
                return
            yield from self._ids[minute]
