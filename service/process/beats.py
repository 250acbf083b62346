"""Heartbeats, which show that workers' event loops run. The first process kills a worker that stops beating.

A hung worker keeps its seat (seats.py), and connections of the second port wait for it. A killed one is replaced.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from service.process.words import Ear, tell

logger = logging.getLogger(__name__)

TOPIC, BEAT, END = "beats", "beat", "end"
BEAT_SECONDS = 2.0
LOOK_SECONDS = 2.0
HUNG_SECONDS = 30.0


class Beats:
    """When each worker was last heard. Only workers that have beaten and have not taken leave count.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard_at: dict[int, float] = {}
        self._looked_at = clock()

    def hear(self, pid: int, word: str) -> None:
        """Record what a worker says."""
        if word == BEAT:
            self._heard_at[pid] = self._clock()
        elif word == END:
            self._heard_at.pop(pid, None)

    def hung(self) -> list[int]:
        """Return the workers that have not been heard for HUNG_SECONDS, once each.

        If this was not called for long, this process itself stood still, and so may the workers have: all start afresh.
        """
        now, looked_at = self._clock(), self._looked_at
        self._looked_at = now
        if now - looked_at > HUNG_SECONDS / 2:
            self._heard_at = dict.fromkeys(self._heard_at, now)
        found = [pid for pid, heard_at in self._heard_at.items() if now - heard_at >= HUNG_SECONDS]
        for pid in found:
            del self._heard_at[pid]
        return found


def watch_beats(directory: Path) -> None:
    """From now on, kill workers of this process that hang. Linux only.

    Args:
        directory: The service's.
    """
    if sys.platform == "linux":
        threading.Thread(target=_watch, args=(Ear(TOPIC, directory), directory), name="beats", daemon=True).start()


def beat() -> None:
    """Say that this worker's event loop runs."""
    tell(TOPIC, BEAT)


def take_leave() -> None:
    """Say that this worker is ending and will not beat again."""
    tell(TOPIC, END)


def _watch(ear: Ear, directory: Path) -> None:
    beats, parent, look_at, is_there = Beats(), psutil.Process(), time.monotonic(), True
    while True:
        with suppress(TimeoutError):
            pid, word, _ = ear.hear(LOOK_SECONDS)
            beats.hear(pid, word)
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_SECONDS
            if is_there and not directory.exists():
                is_there = False
                logger.error("%s was removed, so new workers are not watched; restart the service", directory)
            children = {child.pid for child in parent.children()}
            for hung in children.intersection(beats.hung()):
                os.kill(hung, signal.SIGKILL)
                logger.error("worker process %d had not responded for %g seconds and was killed", hung, HUNG_SECONDS)
