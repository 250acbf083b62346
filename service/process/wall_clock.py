"""The wall clock, which may be set wrong and right again while sessions live by it.

A clock that counts from the boot, suspends included, shows that the wall clock was set. Until it is clear which of the
two is right, the time may be either, and nothing that cannot be undone is done by one of them alone.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import Self

logger = logging.getLogger(__name__)

TOLERATED_SECONDS = 60  # a leap second, or what a daemon corrects: sessions may end so much early
LOOK_SECONDS = 1
DOUBT_SECONDS = 1800  # longer than an NTP daemon waits between two looks, 1,024 seconds
_BOOTED_AT = "BOOT_TIME_OF_UNROLLED"  # as workers inherit it from the first process


def boot_seconds() -> float:
    """Seconds since the machine's boot, suspends included."""
    # Elsewhere than on Linux the monotonic clock counts them, if any does.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class WallClock:
    """Two times, which are the same unless the wall clock has been set lately.

    After DOUBT_SECONDS the wall clock is taken for right. One that is set back within them was wrong.

    Args:
        wall: Seconds since 1970.
        boot: Seconds that only grow, in a suspended machine too.
        booted_at: The wall clock less the other one as they were when the wall clock was right. Now if left out.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], float] = boot_seconds,
        booted_at: float | None = None,
    ) -> None:
        self._wall = wall
        self._boot = boot
        self._booted_at = wall() - boot() if booted_at is None else booted_at
        self._doubted: float | None = None  # when the machine has booted by a wall clock that was set
        self._trusted_from = 0.0
        self._looked_at = self._look_at = 0.0  # by the wall clock; between the two it needs no look

    @classmethod
    def inherited(cls) -> Self:
        """The clock of a worker, which can tell that it was set since its service has begun."""
        booted_at = os.environ.get(_BOOTED_AT)
        return cls(booted_at=float(booted_at) if booted_at else None)

    def trust(self) -> None:
        """Take the wall clock as it is now for right."""
        self._booted_at, self._doubted = self._wall() - self._boot(), None

    def earliest(self) -> float:
        """The earliest that it may be: what has expired by then has expired."""
        now = self._wall()
        return now if self._looked_at <= now < self._look_at else min(now, self._look(now))

    def latest(self) -> float:
        """The latest that it may be: what is used then has not been used later."""
        now = self._wall()
        return now if self._looked_at <= now < self._look_at else max(now, self._look(now))

    def _look(self, now: float) -> float:
        """What the wall clock, which shows `now`, would show had it not been set."""
        boot = self._boot()
        booted_at = now - boot
        if abs(booted_at - self._booted_at) > TOLERATED_SECONDS:
            self._doubt(booted_at, boot)
        else:
            if self._doubted is not None:
                self._doubted = None
                logger.warning("the wall clock is back at the time that it should show")
            self._booted_at = booted_at
        self._looked_at = now
        self._look_at = now + LOOK_SECONDS if self._doubted is None else now
        return boot + self._booted_at

    def _doubt(self, booted_at: float, boot: float) -> None:
        """Note a wall clock that was set, and believe it in the end."""
        if self._doubted is None or abs(booted_at - self._doubted) > TOLERATED_SECONDS:
            self._doubted, self._trusted_from = booted_at, boot + DOUBT_SECONDS
            logger.warning(
                "the wall clock was set %+.0f seconds while sessions live by it: for %d minutes none expires that "
                "would live by the clock as it was; if it is wrong, set it right until then",
                booted_at - self._booted_at,
                DOUBT_SECONDS // 60,
            )
        elif boot >= self._trusted_from:
            self._booted_at, self._doubted = booted_at, None
            logger.warning("the wall clock, as it was set, is taken for right")


def export_clock() -> None:
    """Let the processes that are started from here on know the wall clock as it is now."""
    os.environ[_BOOTED_AT] = repr(time.time() - boot_seconds())
