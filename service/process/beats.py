"""Beats, by which workers show that their event loops turn. The first process kills one that has stopped beating.

A worker that hangs keeps its seat (seats.py), and connections of the second port wait for it. Killed, it is replaced.
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
    """When each worker was last heard of. Only those count that have beaten and have not taken their leave.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard_at: dict[int, float] = {}
        self._looked_at = clock()

    def hear(self, pid: int, word: str) -> None:
        """Note what a worker says."""
        if word == BEAT:
            self._heard_at[pid] = self._clock()
        elif word == END:
            self._heard_at.pop(pid, None)

    def hung(self) -> list[int]:
        """Those that have not been heard of for HUNG_SECONDS, once each.

        If nobody has looked for long, this process stood still itself, and so may have they: all have their time again.
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
    """Kill this process's workers from now on that hang. Linux only.

    Args:
        directory: The service's.
    """
    if sys.platform == "linux":
        threading.Thread(target=_watch, args=(Ear(TOPIC, directory), directory), name="beats", daemon=True).start()


def beat() -> None:
    """Say that this worker's event loop turns."""
    tell(TOPIC, BEAT)


def take_leave() -> None:
    """Say that this worker ends, and beats no more."""
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
                logger.error("%s has been removed: workers that begin from now on are not watched; restart", directory)
            children = {child.pid for child in parent.children()}
            for hung in children.intersection(beats.hung()):
                os.kill(hung, signal.SIGKILL)
                logger.error("worker process %d has hung for %g seconds and is killed", hung, HUNG_SECONDS)
