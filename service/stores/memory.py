"""Sessions in this process's memory: for tests, and for one worker that may forget."""

from collections.abc import Sequence

from service.stores.base import Full, Record, Swap


class MemoryStore:
    """A dictionary behind the store contract.

    Args:
        max_records: Live sessions that find room. As many ended ones are remembered, the latest.
    """

    backend = "memory"

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._records: dict[str, Record] = {}
        self._ended: dict[str, None] = {}
        self._num_live = 0
        self._num_bytes = 0

    async def load(self, session_ids: Sequence[str]) -> list[Record | None]:
        return [self._records.get(session_id) for session_id in session_ids]

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        new = sum(swap.expected_step is None for swap in swaps)
        if new and self._num_live + new > self._max_records:
            raise Full(f"{self._num_live} of {self._max_records} records are taken")
        return [self._swap(swap) for swap in swaps]

    async def delete(self, session_ids: Sequence[str]) -> None:
        for session_id in session_ids:
            self._put(session_id, None)

    async def expired(self, now: float, limit: int) -> list[Record]:
        overdue = [record for record in self._records.values() if record.expires_at <= now]
        return sorted(overdue, key=lambda record: record.expires_at)[:limit]

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        own = [record for record in self._records.values() if record.owner == owner and record.session_id > after]
        return sorted(own, key=lambda record: record.session_id)[:limit]

    async def count(self) -> tuple[int, int]:
        return self._num_live, self._num_bytes

    async def close(self) -> None:
        self._records.clear()

    def _swap(self, swap: Swap) -> bool:
        stored = self._records.get(swap.record.session_id)
        if (stored.step if stored else None) != swap.expected_step:
            return False
        self._put(swap.record.session_id, swap.record)
        return True

    def _put(self, session_id: str, record: Record | None) -> None:
        before = self._records.pop(session_id, None)
        self._ended.pop(session_id, None)
        if record is not None:
            self._records[session_id] = record
            if record.ended:
                self._remember(session_id)
        for changed, sign in ((before, -1), (record, 1)):
            if changed is not None and not changed.ended:
                self._num_live += sign
                self._num_bytes += sign * len(changed.body)

    def _remember(self, session_id: str) -> None:
        self._ended[session_id] = None
        if len(self._ended) > self._max_records:
            self._put(next(iter(self._ended)), None)
