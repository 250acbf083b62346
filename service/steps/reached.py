"""What clients are told where the store cannot be used; why, the log is told."""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from service.errors import StoreUnavailable
from service.stores.base import Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")


async def reached(call: Awaitable[T]) -> T:
    """What a call of the store answers.

    Raises:
        StoreUnavailable: It cannot be used now.
    """
    try:
        return await call
    except Unavailable as error:
        raise refusal_of(error) from error


def refusal_of(error: Unavailable) -> StoreUnavailable:
    """The refusal that a failure of the store is."""
    logger.error("the session store cannot be used: %s", error)
    return StoreUnavailable("the session store cannot be used now; try again")
