"""How many sessions of one owner find room, in every store."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from service.record.ids import new_session_id
from service.settings import SessionSettings
from service.stores.base import CHECKPOINT, Full, QuotaReached, Record, Store, Swap
from service.stores.connect import open_store
from service.stores.limits import Limits
from service.stores.memory import MemoryStore
from tests.service.stores.conftest import MAX_BYTES, MAX_SESSIONS, QUOTA, Provided
from tests.service.stores.histories import HISTORIES, A, B, C, D, E, F, create, named, outcome
from tests.service.stores.processes import Worker

pytestmark = pytest.mark.anyio


async def refusal_of(store: Store, *records: Record) -> QuotaReached:
    """The refusal of new records, none of which is there afterwards."""
    with pytest.raises(QuotaReached) as refused:
        await store.swap([Swap(record, None) for record in records])
    assert await store.load([record.session_id for record in records]) == [None] * len(records)
    return refused.value


async def test_an_owner_is_refused_more_than_the_quota_and_no_other_is(shared_out: Store) -> None:
    await create(shared_out, *map(named, [A, B]))
    refusal = await refusal_of(shared_out, named(C))
    assert (refusal.num_live, refusal.max_sessions) == (2, QUOTA)
    await create(shared_out, named(C, owner="eve"), named(D, owner=""))
    assert [await shared_out.count_of(owner) for owner in ("ann", "eve", "")] == [2, 1, 1]


async def test_of_several_none_is_opened_if_one_is_too_many(shared_out: Store) -> None:
    await create(shared_out, named(A))
    assert (await refusal_of(shared_out, named(B), named(C, owner="eve"), named(D))).num_live == 1
    await create(shared_out, named(B), named(C, owner="eve"))


async def test_only_what_lives_counts(shared_out: Store) -> None:
    saved, ended = named(f"{A}~saved", ended=CHECKPOINT), named(F, ended="ended", body=b"")
    await create(shared_out, saved, ended, *map(named, [A, B]))
    await create(shared_out, named(f"{B}~saved", ended=CHECKPOINT), named(E, ended="ended", body=b""))
    await refusal_of(shared_out, named(C))


@pytest.mark.parametrize("reason", ["ended", "expired", "evicted"])
async def test_the_end_of_one_makes_room_for_another(shared_out: Store, reason: str) -> None:
    await create(shared_out, *map(named, [A, B]))
    await refusal_of(shared_out, named(C))
    assert await shared_out.swap([Swap(named(A, step=1, ended=reason, body=b""), 0)]) == [True]
    await create(shared_out, named(C))
    await refusal_of(shared_out, named(D))
    await shared_out.delete([B])
    await create(shared_out, named(D))


async def test_what_opens_in_the_place_of_what_is_over_counts_as_any_new_one(shared_out: Store) -> None:
    over = named(A, ended="ended", body=b"")
    await create(shared_out, over, *map(named, [B, C]))
    again = Swap(named(A, step=7), 0, is_opening=True)
    with pytest.raises(QuotaReached):
        await shared_out.swap([again])
    assert await shared_out.load([A]) == [over]
    await shared_out.delete([B])
    assert await shared_out.swap([again]) == [True]
    assert await shared_out.count_of("ann") == QUOTA


async def test_at_the_quota_sessions_step_and_are_found(shared_out: Store) -> None:
    await create(shared_out, *map(named, [A, B]))
    assert await shared_out.swap([Swap(named(A, step=1), 0), Swap(named(B), None)]) == [True, False]
    await refusal_of(shared_out, named(C))


async def test_an_owner_at_the_quota_is_told_so_in_a_full_store_too(shared_out: Store) -> None:
    await create(shared_out, *map(named, [A, B]), named(C, owner="eve"), named(D, owner="eve"), named(E, owner="bob"))
    await refusal_of(shared_out, named(F))
    with pytest.raises(Full) as refused:
        await shared_out.swap([Swap(named(F, owner="bob"), None)])
    assert type(refused.value) is Full


async def test_of_many_that_are_opened_at_once_as_many_as_the_quota_find_room(shared_out: Store) -> None:
    swaps = [Swap(named(new_session_id(1000.0 + n)), None) for n in range(30)]
    outcomes: list[Any] = await asyncio.gather(*(shared_out.swap([swap]) for swap in swaps), return_exceptions=True)
    assert [each for each in outcomes if not isinstance(each, QuotaReached)] == [[True]] * QUOTA
    assert await shared_out.count_of("ann") == QUOTA


@pytest.mark.parametrize("provided", ["lmdb", "lmdb-commit"], indirect=True)
async def test_processes_that_open_at_once_never_exceed_the_quota(provided: Provided) -> None:
    shared = {**provided, "max_sessions_per_owner": "10"}
    ids = [[new_session_id(1000.0 + n) for n in range(20)] for _ in range(3)]
    workers = [Worker("crowd", shared, own, str(n)) for n, own in enumerate(ids)]
    for each in workers:
        each.wait_until_ready()
    for each in workers:
        each.start()
    assert sum([len(await asyncio.to_thread(each.finish)) for each in workers]) == 10
    store = open_store(SessionSettings(**shared))
    assert await store.count_of("ann") == (await store.count()).num_live == 10
    await store.close()


@pytest.mark.parametrize("provided", ["lmdb"], indirect=True)
@given(HISTORIES)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_history_at_the_quota_leaves_what_it_leaves_in_memory(shared_out: Store, history: list[Any]) -> None:
    model = MemoryStore(Limits(MAX_SESSIONS, MAX_BYTES, QUOTA))
    every = [A, B, C, D, f"{A}~one", f"{B}~one", "no id"]
    await shared_out.delete(every)
    for event in history:
        assert await outcome(shared_out, event) == await outcome(model, event)
    assert await shared_out.load(every) == await model.load(every)
