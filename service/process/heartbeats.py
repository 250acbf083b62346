"""Heartbeats, which show that workers' event loops run. Pure."""

import time
from collections.abc import Callable

from service.process.messages import BEAT, END, READY, Message

BEAT_SECONDS = 2.0
HUNG_SECONDS = 30.0


class Heartbeats:
    """When each worker last sent one. Only workers that have sent one and are not stopping count.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._received_at: dict[int, float] = {}
        self._checked_at = clock()

    def record(self, message: Message) -> None:
        """Record a message of a worker."""
        if message.kind in (BEAT, READY):
            self._received_at[message.pid] = self._clock()
        elif message.kind == END:
            self._received_at.pop(message.pid, None)

    def hung(self) -> list[int]:
        """Return the workers that have sent none for HUNG_SECONDS, once each.

        If this was not called for long, this process itself stood still, and so may the workers have: all start afresh.
        """
        now, checked_at = self._clock(), self._checked_at
        self._checked_at = now
        if now - checked_at > HUNG_SECONDS / 2:
            self._received_at = dict.fromkeys(self._received_at, now)
        found = [pid for pid, received_at in self._received_at.items() if now - received_at >= HUNG_SECONDS]
        for pid in found:
            del self._received_at[pid]
        return found
