"""A store whose calls have a time limit."""

import asyncio

import pytest

from service.record.ids import new_session_id
from service.stores.base import Record, Swap, Unavailable
from service.stores.timed import TimedStore
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
ID = new_session_id(0)
SWAP = Swap(Record(ID, "ann", "echo:1", 0, 6000, 600), None)


async def test_an_answer_in_time_is_handed_on() -> None:
    store = TimedStore(FaultyStore(), 60.0)
    assert await store.swap([SWAP]) == [True]
    assert await store.load([ID]) == [SWAP.record]
    assert (store.backend, store.is_immediate) == ("memory", False)


async def test_a_call_that_is_not_answered_is_given_up() -> None:
    hanging = FaultyStore()
    hanging.may_swap.clear()
    with pytest.raises(Unavailable, match=r"no answer to swap within 0.05 seconds"):
        await TimedStore(hanging, 0.05).swap([SWAP])


async def test_a_refusal_and_a_cancellation_are_handed_on() -> None:
    inner = FaultyStore()
    inner.is_down = True
    store = TimedStore(inner, 60.0)
    with pytest.raises(Unavailable, match="by a test"):
        await store.load([ID])
    inner.may_load.clear()
    call = asyncio.create_task(store.load([ID]))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
