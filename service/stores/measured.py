"""A store whose calls are timed and whose failures are counted."""

import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from service.metrics import Metrics, Tally
from service.stores.base import Count, Damaged, Full, Record, Store, Successors, Swap

Result = TypeVar("Result")


class MeasuredStore:
    """Hands every verb on to another store."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._durations: dict[str, Tally] = {}
        self.backend = store.backend
        self.is_immediate = store.is_immediate

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        return await self._measured("load", self._store.load(session_ids))

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        return await self._measured("swap", self._store.swap(swaps))

    async def advance(self, groups: Sequence[Successors]) -> list[list[bool]]:
        return await self._measured("advance", self._store.advance(groups))

    async def delete(self, session_ids: Sequence[str]) -> None:
        await self._measured("delete", self._store.delete(session_ids))

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        await self._measured("delete_overdue", self._store.delete_overdue(session_ids, now))

    async def overdue(self, now: int, limit: int) -> list[Record]:
        return await self._measured("overdue", self._store.overdue(now, limit))

    async def overdue_of(self, owner: str, now: int, limit: int) -> list[Record]:
        return await self._measured("overdue_of", self._store.overdue_of(owner, now, limit))

    async def idlest(self, limit: int) -> list[Record]:
        return await self._measured("idlest", self._store.idlest(limit))

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        return await self._measured("page", self._store.page(owner, after, limit))

    async def count(self) -> Count:
        return await self._measured("count", self._store.count())

    async def count_of(self, owner: str) -> int:
        return await self._measured("count_of", self._store.count_of(owner))

    async def bundles(self) -> dict[str, int]:
        return await self._measured("bundles", self._store.bundles())

    async def note(self, name: str, value: bytes | None) -> None:
        await self._measured("note", self._store.note(name, value))

    async def note_once(self, name: str, value: bytes) -> bytes:
        return await self._measured("note_once", self._store.note_once(name, value))

    async def notes(self, prefix: str) -> dict[str, bytes]:
        return await self._measured("notes", self._store.notes(prefix))

    async def weaknesses(self) -> list[str]:
        return await self._measured("weaknesses", self._store.weaknesses())

    async def close(self) -> None:
        await self._store.close()

    async def _measured(self, op: str, call: Awaitable[Result]) -> Result:
        started = time.perf_counter()
        try:
            return await call
        except Full:
            raise
        except Exception:
            self._metrics.store_errors.labels(self.backend, op).inc()
            raise
        finally:
            duration = self._durations.get(op) or self._tally_of(op)
            duration.add(time.perf_counter() - started)

    def _tally_of(self, op: str) -> Tally:
        tally = self._metrics.tally(self._metrics.store_duration.labels(self.backend, op))
        self._durations[op] = tally
        return tally
