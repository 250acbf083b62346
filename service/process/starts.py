"""Whether workers start: the first process watches, and ends with an error message if none is ever ready.

BentoML restarts a dead worker for ever, which is right once the service has worked: a store that is down comes back.
Before that, the service would look alive without being so, above all in a container.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import psutil

from service.process.memory_limit import memory_limit, num_memory_kills
from service.process.outlet import write_out
from service.process.words import Ear, tell

logger = logging.getLogger(__name__)

TOPIC, READY, FAILED = "starts", "ready", "failed"
MAX_STARTS = 3
LOOK_SECONDS = 0.5


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
        self._limit = f"{limit // 2**20} MiB" if limit else "what the machine has"
        self._started: set[int] = set()
        self.has_served = False

    def see(self, pids: Set[int]) -> str | None:
        """Record the workers that exist now.

        Returns:
            Why the service will never start. None while it may.
        """
        self._started |= pids
        if self.has_served or len(self._started) <= self._max_started:
            return None
        return self._kills() or f"{self._max_started} worker processes ended before one was ready; the log says more"

    def hear(self, word: str, detail: str) -> str | None:
        """Record what a worker says about its start.

        Returns:
            Why the service will never start. None while it may.
        """
        if word == FAILED and not self.has_served:
            return detail
        if word == READY:
            self.has_served = True
            if kills := self._kills():
                logger.warning("%s; a replacement is ready now", kills)
        return None

    def _kills(self) -> str:
        """Return how many processes the kernel has killed since the last call, in words. Empty if none."""
        num_kills, known = self._num_kills(), self._num_known_kills
        self._num_known_kills = num_kills
        if num_kills <= known:
            return ""
        return f"processes killed by the kernel because memory reached its limit of {self._limit}: {num_kills - known}"


def watch_starts(directory: Path, num_workers: int) -> None:
    """From now on, watch this process's workers, and end it if they cannot start. Linux only.

    Args:
        directory: The service's.
        num_workers: How many there will be, spare ones included.
    """
    if sys.platform != "linux":
        return
    starts = Starts(num_workers, num_memory_kills, memory_limit())
    threading.Thread(target=_watch, args=(Ear(TOPIC, directory), starts), name="starts", daemon=True).start()


@contextmanager
def failures_told() -> Iterator[None]:
    """Report what keeps this worker from starting to the first process, and raise it."""
    try:
        yield
    except Exception as error:
        logger.exception("this worker cannot start")
        tell(TOPIC, FAILED, f"a worker cannot start: {error}")
        raise


def tell_ready() -> None:
    """Tell the first process that this worker is ready."""
    tell(TOPIC, READY)


def _watch(ear: Ear, starts: Starts) -> None:
    parent, reason = psutil.Process(), None
    while reason is None:
        try:
            _, word, detail = ear.hear(None if starts.has_served else LOOK_SECONDS)
            reason = starts.hear(word, detail)
        except TimeoutError:
            reason = starts.see({child.pid for child in parent.children()})
    _end(parent, reason)


def _end(parent: psutil.Process, reason: str) -> None:
    """Kill the workers, print the reason last, and end. Sessions are safe in the store."""
    children = parent.children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=5)
    write_out()
    sys.stderr.write(f"unrolled: {reason}\n")
    sys.stderr.flush()
    write_out()
    os._exit(1)
