"""A store whose calls are timed and whose failures are counted."""

import time
from collections.abc import Awaitable

from service.metrics import Metrics, Tally
from service.stores.base import Full, Store
from service.stores.forwarding import ForwardingStore, Result


class MeasuredStore(ForwardingStore):
    """Measures another store."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        super().__init__(store)
        self._metrics = metrics
        self._durations: dict[str, Tally] = {}

    async def _call(self, op: str, call: Awaitable[Result]) -> Result:
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
