"""A store whose calls are timed and whose failures are counted."""

import inspect

import numpy as np
import pytest

from service.metrics import Metrics
from service.record.ids import new_session_id
from service.stores.base import Count, Full, Record, Store, Successors, Swap, Unavailable
from service.stores.limits import Limits
from service.stores.measured import MeasuredStore
from service.stores.memory import MemoryStore

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
    assert await store.overdue(10**6, 1) == await store.overdue_of("ann", 10**6, 1) == [RECORD]
    bodies = np.zeros((1, 2), np.uint8), np.zeros((1, 3), np.uint8)
    assert await store.advance([Successors([A], [1], [600], "ann", "echo:1", 6000, *bodies)]) == [[True]]
    assert await store.count() == Count(1, 5)
    assert await store.bundles() == {"echo:1": 1}
    assert await store.count_of("ann") == 1
    await store.note("name", b"value")
    assert await store.note_once("name", b"other") == b"value"
    assert await store.notes("") == {"name": b"value"}
    assert await store.weaknesses()
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
