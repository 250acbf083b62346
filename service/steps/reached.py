"""The refusal that clients get when the store cannot be used. The reason goes to the log."""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from service.errors import StoreUnavailable
from service.stores.base import Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")


async def reached(call: Awaitable[T]) -> T:
    """Await a call of the store and return its result.

    Raises:
        StoreUnavailable: The store cannot be used now.
    """
    try:
        return await call
    except Unavailable as error:
        raise refusal_of(error) from error


def refusal_of(error: Unavailable) -> StoreUnavailable:
    """The refusal for a failure of the store, which is logged."""
    logger.error("the session store cannot be used: %s", error)
    return StoreUnavailable("the session store cannot be used now; try again")
