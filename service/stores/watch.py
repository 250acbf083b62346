"""Inspections of the store now and then: what it may lose is logged once, what it has lost each time."""

import logging
from contextlib import suppress

from service.metrics import Metrics
from service.stores.base import Store, Unavailable

logger = logging.getLogger(__name__)


class StoreWatch:
    """Watches a store for the operator.

    Args:
        store: The store.
        metrics: Its gauge of evicted keys is set.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._known: set[str] = set()

    async def check(self) -> None:
        """Log what is new, and count. Raises Unavailable."""
        inspection = await self._store.inspect()
        for sentence in inspection.weaknesses:
            if sentence not in self._known:
                logger.warning("the session store: %s", sentence)
        self._known = set(inspection.weaknesses)
        for sentence in inspection.losses:
            logger.error("the session store: %s", sentence)
        self._metrics.store_evicted_keys.set(inspection.num_evicted)

    async def check_quietly(self) -> None:
        """The same; a store that cannot be used is inspected the next time. Whoever needs it says that it is down."""
        with suppress(Unavailable):
            await self.check()
