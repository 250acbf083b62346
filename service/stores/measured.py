"""A store whose calls are timed and whose failures are counted."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from service.metrics import Metrics
from service.stores.base import Full, Record, Store, Swap


class MeasuredStore:
    """Hands every verb on to another store."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self.backend = store.backend

    async def load(self, session_ids: Sequence[str]) -> list[Record | None]:
        async with self._measured("load"):
            return await self._store.load(session_ids)

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        async with self._measured("swap"):
            return await self._store.swap(swaps)

    async def delete(self, session_ids: Sequence[str]) -> None:
        async with self._measured("delete"):
            await self._store.delete(session_ids)

    async def expired(self, now: float, limit: int) -> list[Record]:
        async with self._measured("expired"):
            return await self._store.expired(now, limit)

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        async with self._measured("page"):
            return await self._store.page(owner, after, limit)

    async def count(self) -> tuple[int, int]:
        async with self._measured("count"):
            return await self._store.count()

    async def close(self) -> None:
        await self._store.close()

    @asynccontextmanager
    async def _measured(self, op: str) -> AsyncIterator[None]:
        started = time.perf_counter()
        try:
            yield
        except Full:
            raise
        except Exception:
            self._metrics.store_errors.labels(self.backend, op).inc()
            raise
        finally:
            self._metrics.store_duration.labels(self.backend, op).observe(time.perf_counter() - started)
