"""What every store promises, run against each backend."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.stores.base import Full, Record, Store, Swap
from service.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio
RECORD = Record("a", "ann", step=0, expires_at=100.0, body=b"state")


@pytest.fixture(params=[MemoryStore], ids=["memory"])
def store(request: pytest.FixtureRequest) -> Store:
    opened: Callable[[int], Store] = request.param
    return opened(5)


async def create(store: Store, *records: Record) -> None:
    assert await store.swap([Swap(record, None) for record in records]) == [True] * len(records)


async def test_what_was_written_is_loaded_in_the_order_asked_for(store: Store) -> None:
    other = replace(RECORD, session_id="b", body=b"")
    await create(store, RECORD, other)
    assert await store.load(["b", "nobody", "a"]) == [other, None, RECORD]


async def test_a_swap_needs_the_step_that_is_stored(store: Store) -> None:
    await create(store, RECORD)
    first, second = replace(RECORD, step=1, body=b"first"), replace(RECORD, step=1, body=b"second")
    assert await store.swap([Swap(first, 0), Swap(second, 0)]) == [True, False]
    assert await store.load(["a"]) == [first]


async def test_a_record_is_created_only_once(store: Store) -> None:
    await create(store, RECORD)
    assert await store.swap([Swap(replace(RECORD, owner="eve"), None)]) == [False]
    assert await store.load(["a"]) == [RECORD]


async def test_a_swap_of_what_is_not_there_writes_nothing(store: Store) -> None:
    assert await store.swap([Swap(RECORD, 0)]) == [False]
    assert await store.load(["a"]) == [None]


async def test_a_full_store_refuses_new_records_and_takes_steps(store: Store) -> None:
    await create(store, *(replace(RECORD, session_id=str(n)) for n in range(5)))
    with pytest.raises(Full):
        await store.swap([Swap(RECORD, None)])
    assert await store.swap([Swap(replace(RECORD, session_id="3", step=1), 0)]) == [True]


async def test_ended_records_take_no_room_and_the_latest_are_remembered(store: Store) -> None:
    for name in "abcdefgh":
        await create(store, replace(RECORD, session_id=name))
        assert await store.swap([Swap(replace(RECORD, session_id=name, step=1, ended="ended", body=b""), 0)]) == [True]
    remembered = [record.session_id for record in await store.load(list("abcdefgh")) if record]
    assert remembered == list("defgh")
    assert await store.count() == (0, 0)


async def test_deleted_records_never_existed(store: Store) -> None:
    await create(store, RECORD)
    await store.delete(["a", "nobody"])
    assert await store.load(["a"]) == [None]
    await create(store, RECORD)


async def test_the_longest_overdue_come_first(store: Store) -> None:
    records = [replace(RECORD, session_id=name, expires_at=at) for name, at in [("a", 30.0), ("b", 10.0), ("c", 50.0)]]
    await create(store, *records)
    assert [record.session_id for record in await store.expired(30.0, 10)] == ["b", "a"]
    assert [record.session_id for record in await store.expired(99.0, 1)] == ["b"]


async def test_an_owner_sees_pages_of_their_own(store: Store) -> None:
    await create(
        store, *(replace(RECORD, session_id=name) for name in "cab"), replace(RECORD, session_id="x", owner="eve")
    )
    first = await store.page("ann", "", 2)
    assert [record.session_id for record in first] == ["a", "b"]
    assert [record.session_id for record in await store.page("ann", "b", 2)] == ["c"]


async def test_live_sessions_and_their_bytes_are_counted(store: Store) -> None:
    await create(store, RECORD, replace(RECORD, session_id="b", body=b"1234567"))
    assert await store.count() == (2, 12)
    await store.swap([Swap(replace(RECORD, ended="expired", body=b""), 0)])
    assert await store.count() == (1, 7)
    await store.delete(["a", "b"])
    assert await store.count() == (0, 0)
