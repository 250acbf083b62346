"""The refusal that clients get when the store cannot be used. The reason goes to the log."""

from collections.abc import Awaitable
from typing import TypeVar

from service.errors import StoreUnavailable
from service.steps.outage import Outage
from service.stores.base import Unavailable

T = TypeVar("T")
_outage = Outage()


async def reached(call: Awaitable[T]) -> T:
    """Await a call of the store and return its result.

    Raises:
        StoreUnavailable: The store cannot be used now.
    """
    try:
        result = await call
    except Unavailable as error:
        raise refusal_of(error) from error
    _outage.answer()
    return result


def refusal_of(error: Unavailable) -> StoreUnavailable:
    """The refusal for a failure of the store, which is logged."""
    _outage.fail(error)
    return StoreUnavailable("the session store cannot be used now; try again")
