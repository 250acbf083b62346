"""A store wrapper that times calls, counts failures, and can limit how long a call may take."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from service.metrics import Metrics
from service.stores.base import Count, Damaged, Full, Inspection, Record, Store, Swap, SwapGroup, Unavailable

Result = TypeVar("Result")


class MeasuredStore:
    """Measures another store, and gives up on calls that take too long, for instance because a disk hangs.

    Args:
        store: The other store.
        metrics: Times and counts every method except `close`.
        limit_seconds: How long a call may take before it raises Unavailable; a write may still happen later. None for
            no limit.
    """

    def __init__(self, store: Store, metrics: Metrics, limit_seconds: float | None = None) -> None:
        self.backend = store.backend
        self.clock = store.clock
        self.is_immediate = store.is_immediate
        self._store = store
        self._metrics = metrics
        self._limit_seconds = limit_seconds

    def limited(self, limit_seconds: float) -> "MeasuredStore":
        """Return the same store with a time limit for each call."""
        return MeasuredStore(self._store, self._metrics, limit_seconds)

    @property
    def is_moved(self) -> bool:
        return self._store.is_moved

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        return await self._call("load", self._store.load(session_ids))

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        return await self._call("swap", self._store.swap(swaps))

    async def advance(self, groups: Sequence[SwapGroup]) -> list[list[bool]]:
        return await self._call("advance", self._store.advance(groups))

    async def delete(self, session_ids: Sequence[str]) -> None:
        await self._call("delete", self._store.delete(session_ids))

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        await self._call("delete_overdue", self._store.delete_overdue(session_ids, now))

    async def overdue(self, now: int, limit: int) -> list[Record]:
        return await self._call("overdue", self._store.overdue(now, limit))

    async def overdue_of(self, owner: str | None, now: int, limit: int) -> list[Record]:
        return await self._call("overdue_of", self._store.overdue_of(owner, now, limit))

    async def idlest(self, limit: int) -> list[Record]:
        return await self._call("idlest", self._store.idlest(limit))

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        return await self._call("page", self._store.page(owner, after, limit))

    async def count(self) -> Count:
        return await self._call("count", self._store.count())

    async def count_of(self, owner: str) -> int:
        return await self._call("count_of", self._store.count_of(owner))

    async def bundles(self) -> dict[str, int]:
        return await self._call("bundles", self._store.bundles())

    async def note(self, name: str, value: bytes | None) -> None:
        await self._call("note", self._store.note(name, value))

    async def note_once(self, name: str, value: bytes) -> bytes:
        return await self._call("note_once", self._store.note_once(name, value))

    async def notes(self, prefix: str) -> dict[str, bytes]:
        return await self._call("notes", self._store.notes(prefix))

    async def inspect(self) -> Inspection:
        return await self._call("inspect", self._store.inspect())

    async def close(self) -> None:
        await self._store.close()

    async def _call(self, op: str, call: Awaitable[Result]) -> Result:
        started = time.perf_counter()
        try:
            return await (call if self._limit_seconds is None else _in_time(op, call, self._limit_seconds))
        except Full:
            raise
        except Exception:
            self._metrics.store_errors.labels(self.backend, op).inc()
            raise
        finally:
            self._metrics.store_tally.add((self.backend, op), time.perf_counter() - started)


async def _in_time(op: str, call: Awaitable[Result], limit_seconds: float) -> Result:
    try:
        async with asyncio.timeout(limit_seconds):
            return await call
    except TimeoutError as error:
        raise Unavailable(f"no answer to {op} within {limit_seconds:g} seconds") from error
