"""The wall clock, which may be set wrong and right again while sessions live by it.

A clock that counts from the boot, suspends included, shows that the wall clock was set. Until it is clear which of the
two is right, the time may be either, and nothing that cannot be undone is done by one of them alone.

A file in the service's directory tells workers that begin later what the others know.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

logger = logging.getLogger(__name__)

TOLERATED_SECONDS = 60  # a leap second, or what a daemon corrects: sessions may end so much early
LOOK_SECONDS = 1
DOUBT_SECONDS = 1800  # longer than an NTP daemon waits between two looks, 1,024 seconds
_FILE = "clock"
_KEPT_SECONDS = 1  # what is corrected by less is not worth a write
_RETRY_SECONDS = 5  # after a write that failed


def boot_seconds() -> float:
    """Seconds since the machine's boot, suspends included."""
    # Elsewhere than on Linux the monotonic clock counts them, if any does.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Known(NamedTuple):
    """What is known of a wall clock.

    Attributes:
        booted_at: When the machine booted, by the wall clock as it was when it was right.
        doubted: The same by a wall clock that was set. None if it was not.
        trusted_from: How long after the boot that one is taken for right.
    """

    booted_at: float
    doubted: float | None = None
    trusted_from: float = 0.0

    def explains(self, booted_at: float) -> bool:
        """Whether a wall clock by which the machine booted then is right, or is in doubt already."""
        return _is_near(booted_at, self.booted_at) or (self.doubted is not None and _is_near(booted_at, self.doubted))


class WallClock:
    """Two times, which are the same unless the wall clock has been set lately.

    After DOUBT_SECONDS the wall clock is taken for right. One that is set back within them was wrong.

    Args:
        wall: Seconds since 1970.
        boot: Seconds that only grow, in a suspended machine too.
        file: What is known is read from it and kept in it. If it is left out or cannot be read, the wall clock is right
            now.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], float] = boot_seconds,
        file: Path | None = None,
    ) -> None:
        self._wall = wall
        self._boot = boot
        self._file = file
        self._kept = None if file is None else _read(file)
        self._known = self._kept or Known(wall() - boot())
        self._looked_at = self._look_at = 0.0  # by the wall clock; between the two it needs no look
        self._keep_at = 0.0  # seconds since the boot
        self._keep()

    @classmethod
    def shared(cls, directory: Path | None) -> Self:
        """The clock of a service's processes, by which a worker can tell that it was set before it began.

        Args:
            directory: The service's. None if the process belongs to none.
        """
        return cls(file=directory and directory / _FILE)

    def trust(self) -> None:
        """Take the wall clock as it is now for right."""
        self._known = Known(self._wall() - self._boot())

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
        if not self._known.explains(booted_at):
            self._ask_others(booted_at)
        if not _is_near(booted_at, self._known.booted_at):
            self._doubt(booted_at, boot)
        else:
            if self._known.doubted is not None:
                logger.warning("the wall clock is back at the time that it should show")
            self._known = Known(booted_at)
        self._keep()
        self._looked_at = now
        self._look_at = now + LOOK_SECONDS if self._known.doubted is None else now
        return boot + self._known.booted_at

    def _ask_others(self, booted_at: float) -> None:
        """Take over what others know of a wall clock that is news to this process: it may not have looked for days."""
        others = self._file and _read(self._file)
        if others and others.explains(booted_at):
            self._known = self._kept = others

    def _doubt(self, booted_at: float, boot: float) -> None:
        """Note a wall clock that was set, and believe it in the end."""
        known = self._known
        if not known.explains(booted_at):
            self._known = Known(known.booted_at, booted_at, boot + DOUBT_SECONDS)
            logger.warning(
                "the wall clock was set %+.0f seconds while sessions live by it: for %d minutes none expires that "
                "would live by the clock as it was; if it is wrong, set it right until then",
                booted_at - known.booted_at,
                DOUBT_SECONDS // 60,
            )
        elif boot >= known.trusted_from:
            self._known = Known(booted_at)
            logger.warning("the wall clock, as it was set, is taken for right")

    def _keep(self) -> None:
        """Let processes that begin later know what is known here."""
        known, kept = self._known, self._kept
        if self._file is None or (kept is not None and _is_same(known, kept)) or self._boot() < self._keep_at:
            return
        draft = self._file.with_suffix(f".{os.getpid()}")
        try:
            draft.write_text(json.dumps(known))
            draft.replace(self._file)
            self._kept = known
        except OSError:  # until it can be written they trust the wall clock as they find it
            self._keep_at = self._boot() + _RETRY_SECONDS
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _is_near(booted_at: float, other: float) -> bool:
    return abs(booted_at - other) <= TOLERATED_SECONDS


def _is_same(known: Known, kept: Known) -> bool:
    return known.doubted == kept.doubted and abs(known.booted_at - kept.booted_at) < _KEPT_SECONDS


def _read(file: Path) -> Known | None:
    try:
        return Known(*json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
