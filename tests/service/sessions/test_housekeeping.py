"""The overdue are buried, the idlest make room, the gauges tell how much there is."""

import asyncio
from pathlib import Path
from unittest.mock import Mock

import pytest

from service.errors import SessionGone, StoreFull
from service.sessions.housekeeping import EVICTED_AT_ONCE, EVICTIONS_LOGGED_SECONDS, MAX_EVICTIONS, SWEEP_RECORDS
from service.sessions.sessions import RECORDS_AT_ONCE
from service.stores.base import Count, Record, Unavailable
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from tests.fakes.clock import Clock
from tests.fakes.process import Process, settle, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def test_gauges_stay_as_they_are_while_the_store_cannot_be_counted(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def count() -> Count:
        raise Unavailable("away")

    await process.create()
    await process.housekeeping.measure()
    monkeypatch.setattr(store, "count", count)
    await process.create()
    await process.housekeeping.measure()
    assert process.metrics.registry.get_sample_value("rnn_sessions_active") == 1


async def test_a_sweep_leaves_nothing_that_is_overdue(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.sessions.housekeeping.SWEEP_RECORDS", 20)
    for _ in range(50):
        await process.create()
    process.clock.now += 10
    alive = await process.create()
    assert await process.housekeeping.sweep() == 50
    assert (await store.count()).num_live == 1
    assert process.metrics.registry.get_sample_value("rnn_sessions_ended_total", {"reason": "expired"}) == 50
    await process.sessions.get("ann", alive)


async def test_a_sweep_loads_no_more_records_at_once_than_a_page(process: Process, store: FaultyStore) -> None:
    for _ in range(150):
        await process.create()
    process.clock.now += 10
    overdue, num_loaded = store.overdue, []

    async def counted(now: int, limit: int) -> list[Record]:
        records = await overdue(now, limit)
        num_loaded.append(len(records))
        return records

    store.overdue = counted  # type: ignore[method-assign]
    assert await process.housekeeping.sweep() == 150
    assert max(num_loaded) <= RECORDS_AT_ONCE


async def test_a_sweep_passes_over_all_that_have_a_step_in_flight(process: Process, store: FaultyStore) -> None:
    ids = [await process.create() for _ in range(SWEEP_RECORDS + 10)]
    steps = [process.begin(session_id, "wait") for session_id in ids[:SWEEP_RECORDS]]
    await settle()
    process.clock.now += 10
    assert await process.housekeeping.sweep() == 10
    process.model.go.set()
    assert {(await step.result()).step for step in steps} == {1}
    assert (await store.count()).num_live == SWEEP_RECORDS


async def test_a_store_that_was_moved_is_not_swept(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await process.create()
    process.clock.now += 10
    with monkeypatch.context() as patch:
        patch.setattr(store, "is_moved", True)
        store.is_down = True  # a call would fail
        assert await process.housekeeping.sweep() == 0
    store.is_down = False
    assert await process.housekeeping.sweep() == 1


@pytest.mark.parametrize("is_swept", [False, True])
async def test_an_idle_session_expires_and_says_so(process: Process, store: FaultyStore, is_swept: bool) -> None:
    session_id = await process.create()
    process.clock.now += 10
    assert (await process.housekeeping.sweep() if is_swept else 1) == 1
    for _ in range(2):
        with pytest.raises(SessionGone) as refused:
            await process.sessions.get("ann", session_id)
        assert refused.value.reason == "expired"
        await until(lambda: not process._spawned)
    stored = await store.stored(session_id)
    assert (stored.ended, stored.body) == ("expired", b"")


async def test_a_full_store_gives_the_room_of_the_least_recently_used(store: FaultyStore) -> None:
    store = FaultyStore(Limits(max_sessions=20))
    async with Process(
        store, Clock(), max_sessions=20, session_ttl_seconds=100_000, max_session_ttl_seconds=100_000
    ) as process:
        ids = []
        for _ in range(20):
            process.clock.now += 60
            ids.append(await process.create())
        await process.text(ids[0], "a")
        fresh = await process.create()
        assert (await process.sessions.get("ann", fresh)).step == 0
        assert (await process.sessions.get("ann", ids[0])).step == 1
        assert (await process.sessions.get("ann", ids[-1])).step == 0
        with pytest.raises(SessionGone) as refused:
            await process.text(ids[1], "a")
        assert refused.value.reason == "evicted"
        assert process.metrics.registry.get_sample_value("rnn_sessions_ended_total", {"reason": "evicted"}) == 1


async def test_evictions_are_logged_now_and_then_with_their_number(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = Clock()
    monkeypatch.setattr("service.sessions.housekeeping.time", Mock(monotonic=now))
    async with Process(FaultyStore(Limits(max_sessions=1))) as process:
        for seconds in (0, 0, EVICTIONS_LOGGED_SECONDS - 1, 1, 1):
            await process.create()
            now.now += seconds
        await process.create()
    assert [message.partition(", ")[2].rpartition(", ")[2] for message in caplog.messages] == [
        "1 since the last such line",
        "3 since the last such line",
    ]


async def test_the_overdue_make_room_before_a_sweep_finds_them_and_before_anyone_is_evicted() -> None:
    async with Process(FaultyStore(Limits(max_sessions=20))) as process:
        long = [await process.create(ttl_seconds=100) for _ in range(10)]
        for _ in range(10):
            await process.create("eve", ttl_seconds=1)
        process.clock.now += 3
        for _ in range(10):
            await process.create(ttl_seconds=100)
        for session_id in long:
            assert (await process.sessions.get("ann", session_id)).step == 0
        sample = process.metrics.registry.get_sample_value
        assert sample("rnn_sessions_ended_total", {"reason": "evicted"}) == 0
        assert sample("rnn_sessions_ended_total", {"reason": "expired"}) == 10


async def test_who_comes_to_a_full_store_with_others_finds_the_room_that_they_make(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(max_sessions=20), "commit")
    async with Process(store, max_sessions=20) as process:
        for _ in range(20):
            await process.create("ann")
        process.clock.now += 61
        opened = await asyncio.gather(*(process.create("bob") for _ in range(10)))
        assert len(set(opened)) == 10
        assert (await store.count()).num_live <= 20
    await store.close()


async def test_who_finds_nothing_to_end_since_others_have_ended_it_finds_their_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Process(FaultyStore(Limits(max_sessions=1))) as process:
        session_id = await process.create()

        async def ended_by_others(_: int) -> int:
            await process.sessions.end("ann", session_id)
            return 0

        monkeypatch.setattr(process.housekeeping, "make_room", ended_by_others)
        assert await process.create() != session_id


async def test_a_session_with_a_step_in_flight_is_never_evicted() -> None:
    store = FaultyStore(Limits(max_sessions=2))
    async with Process(store) as process:
        ids = [await process.create() for _ in range(2)]
        steps = [process.begin(session_id, "wait") for session_id in ids]
        await settle()
        with pytest.raises(StoreFull):
            await process.create()
        process.model.go.set()
        assert [(await step.result()).step for step in steps] == [1, 1]
        assert (await process.create()) not in ids


async def test_who_is_idle_makes_room_behind_many_with_a_step_in_flight() -> None:
    async with Process(FaultyStore(Limits(max_sessions=40)), max_sessions=40) as process:
        ids = [await process.create() for _ in range(40)]
        steps = [process.begin(session_id, "wait") for session_id in ids[:30]]
        await settle()
        await process.create()
        with pytest.raises(SessionGone, match="evicted"):
            await process.sessions.get("ann", ids[30])
        for session_id in ids[31:]:  # the room of one was enough
            assert (await process.sessions.get("ann", session_id)).step == 0
        process.model.go.set()
        assert {(await step.result()).step for step in steps} == {1}


async def test_a_search_among_steps_in_flight_gives_up_after_so_many_and_nothing_is_logged_as_evicted(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.sessions.housekeeping.MAX_LOOKED_AT", 8)
    steps = [process.begin(await process.create(), "wait") for _ in range(20)]
    await settle()
    idlest, limits = store.idlest, []

    async def counted(limit: int) -> list[Record]:
        limits.append(limit)
        assert len(limits) <= 3, "it would search for ever"
        return await idlest(limit)

    monkeypatch.setattr(store, "idlest", counted)
    assert await process.housekeeping.evict(1) == 0
    assert limits == [1, 4, 8]
    assert not caplog.messages
    process.model.go.set()
    assert {(await step.result()).step for step in steps} == {1}


async def test_a_step_of_an_evicted_session_is_refused_without_a_run(process: Process) -> None:
    session_id = await process.create()
    await process.ids(session_id, 1)
    assert await process.housekeeping.evict(1) == 1
    num_runs = len(process.graphs["0"].runs)
    with pytest.raises(SessionGone, match="evicted"):
        await process.ids(session_id, 2)
    assert len(process.graphs["0"].runs) == num_runs


async def test_a_step_in_flight_keeps_its_session_alive(process: Process) -> None:
    session_id = await process.create()
    step = process.begin(session_id, "wait", 0)
    await settle()
    process.clock.now += 11
    assert await process.housekeeping.sweep() == 0
    process.model.go.set()
    assert (await step.result()).step == 1


async def test_a_sweep_keeps_to_the_budget_of_bytes(store: FaultyStore) -> None:
    async with Process(store, Clock(), max_store_bytes=2000, session_ttl_seconds=100) as process:
        newest = [await process.create() for _ in range(40)][-1]
        assert (await store.count()).num_bytes > 3000
        await process.housekeeping.sweep()
        assert 0 < (await store.count()).num_bytes <= 2000
        assert (await process.sessions.get("ann", newest)).step == 0


async def test_a_sweep_evicts_only_so_many(store: FaultyStore) -> None:
    async with Process(store, Clock(), max_store_bytes=0) as process:
        for _ in range(MAX_EVICTIONS * EVICTED_AT_ONCE + 5):
            await process.create()
        await process.housekeeping.sweep()
        assert (await store.count()).num_live == 5


async def test_a_sweep_ends_nobody_while_the_budget_of_bytes_is_just_enough(
    process: Process, store: FaultyStore
) -> None:
    await process.create()
    num_bytes = (await store.count()).num_bytes
    async with Process(store, process.clock, max_store_bytes=num_bytes) as other:
        await other.housekeeping.sweep()
    assert (await store.count()).num_live == 1


async def test_the_overdue_leave_before_anyone_is_evicted_for_the_budget_of_bytes(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found_late(*_: int) -> list[Record]:
        return []

    monkeypatch.setattr(store, "overdue", found_late)
    async with Process(store, Clock(), max_store_bytes=2000) as process:
        long = [await process.create(ttl_seconds=100) for _ in range(10)]
        for _ in range(30):
            await process.create(ttl_seconds=1)
        process.clock.now += 3
        await process.housekeeping.sweep()
        assert (await store.count()).num_bytes <= 2000
        for session_id in long:
            assert (await process.sessions.get("ann", session_id)).step == 0


async def test_a_store_full_of_bytes_makes_room_too() -> None:
    store = FaultyStore(Limits(max_bytes=1000))
    async with Process(store) as process:
        ids = [await process.create() for _ in range(30)]
        assert (await process.sessions.get("ann", ids[-1])).step == 0


async def test_gauges_are_those_of_the_store(process: Process, store: FaultyStore) -> None:
    for _ in range(3):
        await process.create()
    await process.housekeeping.measure()
    sample = process.metrics.registry.get_sample_value
    assert sample("rnn_sessions_active") == 3
    assert sample("rnn_state_bytes") == (await store.count()).num_bytes
