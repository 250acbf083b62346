"""Whether a service's workers start at all. Pure.

BentoML restarts a dead worker for ever, which is right once the service has worked: a store that is down comes back.
Before that, the service would look alive without being so, above all in a container.
"""

import logging
from collections.abc import Callable, Set

from service.process.messages import FAILED, READY, Message

logger = logging.getLogger(__name__)

MAX_STARTS = 3


class Starts:
    """Knows which workers there have been, and whether any has been ready.

    Args:
        num_workers: How many there should be, spare ones included.
        num_kills: How many processes the kernel has killed for memory so far.
        limit: Their memory limit, in bytes.
    """

    def __init__(self, num_workers: int, num_kills: Callable[[], int], limit: int | None) -> None:
        self._max_started = MAX_STARTS * num_workers
        self._num_kills = num_kills
        self._num_known_kills = num_kills()
        self._cause = f"memory reached its limit of {limit // 2**20} MiB" if limit else "the machine had no memory left"
        self._started: set[int] = set()
        self._ready: set[int] = set()
        self.has_served = False

    def see(self, pids: Set[int]) -> str | None:
        """Record the workers that exist now.

        Returns:
            Why the service will never start. None while it may.
        """
        self._ready &= pids
        if self.has_served:
            return None
        self._started |= pids
        if len(self._started) <= self._max_started:
            return None
        return (
            self._new_kills() or f"{self._max_started} worker processes ended before one was ready; the log says more"
        )

    def record(self, message: Message) -> str | None:
        """Record a message of a worker.

        Returns:
            Why the service will never start. None while it may.
        """
        if message.kind == FAILED and not self.has_served:
            return message.detail
        if message.kind == READY and message.pid not in self._ready:
            self._ready.add(message.pid)
            self.has_served = True
            if kills := self._new_kills():
                logger.warning("%s; a replacement is ready now", kills)
        return None

    def _new_kills(self) -> str:
        """Return how many processes the kernel has killed since the last call, in words. Empty if none."""
        num_kills, known = self._num_kills(), self._num_known_kills
        self._num_known_kills = num_kills
        if num_kills <= known:
            return ""
        return f"processes killed by the kernel because {self._cause}: {num_kills - known}"
