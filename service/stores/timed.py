"""A store whose calls have a time limit."""

import asyncio
from collections.abc import Awaitable

from service.stores.base import Store, Unavailable
from service.stores.forwarding import ForwardingStore, Result


class TimedStore(ForwardingStore):
    """Gives up calls that another store does not answer, as a disk that hangs does not. A write may still be done.

    Args:
        store: The other store.
        timeout_seconds: How long a call may take; then it raises Unavailable.
    """

    def __init__(self, store: Store, timeout_seconds: float) -> None:
        super().__init__(store)
        self._timeout_seconds = timeout_seconds

    async def _call(self, op: str, call: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await call
        except TimeoutError as error:
            raise Unavailable(f"no answer to {op} within {self._timeout_seconds:g} seconds") from error
