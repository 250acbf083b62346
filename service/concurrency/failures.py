"""Failures that repeat: the first is logged whole, the others are counted."""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0


class FailureLog:
    """Logs the first failure of each kind with its traceback, and a line about further ones every QUIET_SECONDS.

    Args:
        what: What fails, as a sentence.
        clock: Seconds that only grow.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._kinds: set[type[Exception]] = set()  # since the last pause
        self._failed_at = self._logged_at = float("-inf")
        self._num_suppressed = 0

    def log(self, error: Exception) -> None:
        """Log a failure, or count it."""
        now = self._clock()
        if now >= self._failed_at + QUIET_SECONDS:
            self._kinds.clear()
        self._failed_at = now
        if type(error) not in self._kinds:
            self._kinds.add(type(error))
            suppressed = f" ({self._num_suppressed} more times since the last line)" if self._num_suppressed else ""
            logger.error("%s%s", self._what, suppressed, exc_info=error)
        elif now >= self._logged_at + QUIET_SECONDS:
            logger.error("%s: %s (%d times since the last line)", self._what, error, self._num_suppressed + 1)
        else:
            self._num_suppressed += 1
            return
        self._logged_at, self._num_suppressed = now, 0
