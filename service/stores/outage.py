"""A store outage: the refusals that clients get, and a log that does not get a line for each of them."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.errors import StoreUnavailable
from service.stores.base import Unavailable

logger = logging.getLogger(__name__)

QUIET_SECONDS = 10.0

T = TypeVar("T")


class Outage:
    """Logs the first failure, at most one line every QUIET_SECONDS with the number of requests refused, and the end.

    An outage ends when a call is answered and none has failed for QUIET_SECONDS: if one server of several is down, some
    calls are answered all the time.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._num_suppressed = 0
        self._logged_at = float("-inf")
        self._failed_at: float | None = None

    def fail(self, error: Exception, is_request: bool = True) -> None:
        """Note that a call has failed, for a request, which is refused then, or for work in the background."""
        self._failed_at = now = self._clock()
        self._num_suppressed += is_request
        if now < self._logged_at + QUIET_SECONDS:
            return
        has_others = self._num_suppressed > is_request
        requests = "1 request" if self._num_suppressed == 1 else f"{self._num_suppressed} requests"
        number = f" ({requests} refused since the last line)" if has_others else ""
        logger.error("the session store cannot be used: %s%s", error, number)
        self._num_suppressed, self._logged_at = 0, now

    def answer(self) -> None:
        """Note that a call was answered."""
        if self._failed_at is not None and self._clock() >= self._failed_at + QUIET_SECONDS:
            more = "1 more request was" if self._num_suppressed == 1 else f"{self._num_suppressed} more requests were"
            number = f"; {more} refused" if self._num_suppressed else ""
            logger.warning("the session store can be used again%s", number)
            self._num_suppressed, self._logged_at, self._failed_at = 0, float("-inf"), None


_outage = Outage()


async def or_unavailable(call: Awaitable[T]) -> T:
    """Await a call to the store and return its result.

    Raises:
        StoreUnavailable: The store cannot be used now.
    """
    try:
        result = await call
    except Unavailable as error:
        _outage.fail(error)
        raise StoreUnavailable("the session store cannot be used now; try again") from error
    _outage.answer()
    return result


async def or_logged(work: Awaitable[object]) -> None:
    """Await background work on the store. If the store cannot be used now, the work is left, and the outage logged."""
    try:
        await work
    except Unavailable as error:
        _outage.fail(error, is_request=False)
    else:
        _outage.answer()
