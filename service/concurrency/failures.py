"""Failures that repeat: the first is logged whole, the others are counted."""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0


class Failures:
    """Logs a failure with its traceback, and of those of its kind that follow a line every QUIET_SECONDS.

    Args:
        what: What fails, as a sentence.
        clock: Seconds that only grow.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._kind: type[Exception] | None = None
        self._failed_at = self._told_at = float("-inf")
        self._num_untold = 0

    def tell(self, error: Exception) -> None:
        """Log a failure, or count it."""
        now, failed_at = self._clock(), self._failed_at
        self._failed_at = now
        self._num_untold += 1
        if type(error) is not self._kind or now >= failed_at + QUIET_SECONDS:
            self._kind = type(error)
            logger.error("%s", self._what, exc_info=error)
        elif now >= self._told_at + QUIET_SECONDS:
            logger.error("%s: %s (%d times since the last line)", self._what, error, self._num_untold)
        else:
            return
        self._told_at, self._num_untold = now, 0
