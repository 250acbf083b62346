"""A store whose calls are timed, may have a limit, and whose failures are counted."""

import asyncio
import inspect

import numpy as np
import pytest

from service.metrics import Metrics
from service.record.ids import new_session_id
from service.stores.base import Count, Full, Record, Store, Swap, SwapGroup, Unavailable
from service.stores.limits import Limits
from service.stores.measured import MeasuredStore
from service.stores.memory import MemoryStore
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio

A, B = new_session_id(0), new_session_id(1)
RECORD = Record(A, "ann", "echo:1", 0, 6000, 600, "", b"state")


def sample(metrics: Metrics, name: str, op: str) -> float | None:
    metrics.flush()
    return metrics.registry.get_sample_value(name, {"backend": "memory", "op": op})


async def test_every_verb_is_handed_on_and_timed() -> None:
    metrics = Metrics()
    store = MeasuredStore(MemoryStore(Limits()), metrics)
    assert await store.swap([Swap(RECORD, None)]) == [True]
    assert await store.load([A]) == await store.page("ann", "", 1) == await store.idlest(1) == [RECORD]
    assert await store.overdue(10**6, 1) == await store.overdue_of(None, 10**6, 1) == [RECORD]
    bodies = np.zeros((1, 2), np.uint8), np.zeros((1, 3), np.uint8)
    assert await store.advance([SwapGroup([A], [1], [600], "ann", "echo:1", 6000, *bodies)]) == [[True]]
    assert await store.count() == Count(1, 5)
    assert await store.bundles() == {"echo:1": 1}
    assert await store.count_of("ann") == 1
    await store.note("name", b"value")
    assert await store.note_once("name", b"other") == b"value"
    assert await store.notes("") == {"name": b"value"}
    assert (await store.inspect()).weaknesses
    await store.delete([A])
    await store.delete_overdue([A], 10**6)
    await store.close()
    verbs = {name for name, _ in inspect.getmembers(Store, inspect.iscoroutinefunction)} - {"close"}
    assert {op for op in verbs if sample(metrics, "rnn_store_duration_seconds_count", op) == 1.0} == verbs


async def test_a_full_store_is_no_failure_and_an_unavailable_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, inner = Metrics(), MemoryStore(Limits(max_sessions=1))
    store = MeasuredStore(inner, metrics)
    await store.swap([Swap(RECORD, None)])
    with pytest.raises(Full):
        await store.swap([Swap(RECORD._replace(session_id=B), None)])
    assert sample(metrics, "rnn_store_errors_total", "swap") is None
    assert sample(metrics, "rnn_store_duration_seconds_count", "swap") == 2.0

    async def fail(*_: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(inner, "load", fail)
    with pytest.raises(Unavailable):
        await store.load([A])
    assert sample(metrics, "rnn_store_errors_total", "load") == 1.0
    assert sample(metrics, "rnn_store_duration_seconds_count", "load") == 1.0


async def test_an_answer_in_time_is_handed_on() -> None:
    store = MeasuredStore(FaultyStore(), Metrics()).limited(60.0)
    assert await store.swap([Swap(RECORD, None)]) == [True]
    assert await store.load([A]) == [RECORD]
    assert (store.backend, store.is_immediate) == ("memory", False)


async def test_a_call_that_is_not_answered_is_given_up_and_counted() -> None:
    metrics, hanging = Metrics(), FaultyStore()
    hanging.may_swap.clear()
    with pytest.raises(Unavailable, match=r"no answer to swap within 0.05 seconds"):
        await MeasuredStore(hanging, metrics, 0.05).swap([Swap(RECORD, None)])
    assert sample(metrics, "rnn_store_errors_total", "swap") == 1.0


async def test_a_stores_own_timeout_is_handed_on_where_there_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise TimeoutError

    inner = MemoryStore(Limits())
    monkeypatch.setattr(inner, "load", fail)
    with pytest.raises(TimeoutError):
        await MeasuredStore(inner, Metrics()).load([A])


async def test_a_refusal_and_a_cancellation_are_handed_on() -> None:
    inner = FaultyStore()
    inner.is_down = True
    store = MeasuredStore(inner, Metrics(), 60.0)
    with pytest.raises(Unavailable, match="by a test"):
        await store.load([A])
    inner.may_load.clear()
    call = asyncio.create_task(store.load([A]))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
