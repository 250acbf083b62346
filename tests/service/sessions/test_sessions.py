"""Sessions but for their steps: opened, listed, ended, expired, evicted."""

import asyncio

import pytest

from service.errors import (
    IdempotencyMismatch,
    InvalidInput,
    ModelUnknown,
    NotStreamable,
    SessionDamaged,
    SessionGone,
    SessionUnknown,
    StepConflict,
    StoreFull,
    StoreUnavailable,
)
from service.forms.sessions import SessionRequest
from service.stores.base import Count, Unavailable
from tests.fakes.process import NEW, Clock, Process, outputs, settle, two_processes
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def test_a_session_is_shown_as_it_was_opened(process: Process) -> None:
    view = await process.sessions.create("ann", SessionRequest(model="sum", ttl_seconds=5))
    assert view.model_dump(exclude={"session_id"}) == {
        "model": "sum",
        "bundle": "sum:0",
        "step": 0,
        "expires_at": "1970-01-01T00:16:45+00:00",
    }
    assert await process.sessions.get("ann", view.session_id) == view


async def test_there_is_no_session_on_a_model_that_needs_whole_inputs(process: Process) -> None:
    process.model.is_streamable = False
    with pytest.raises(NotStreamable, match="sum needs whole inputs"):
        await process.create()


async def test_another_owners_session_does_not_exist(process: Process) -> None:
    session_id = await process.create()
    for attempt in (process.sessions.get, process.sessions.end):
        with pytest.raises(SessionUnknown):
            await attempt("eve", session_id)
    assert (await process.sessions.page("eve", "", 10)).sessions == []


async def test_an_ended_session_is_gone_until_it_is_forgotten(process: Process) -> None:
    session_id = await process.create()
    await process.sessions.end("ann", session_id)
    process.clock.now += 59
    for attempt in (process.sessions.get, process.sessions.end):
        with pytest.raises(SessionGone) as refused:
            await attempt("ann", session_id)
        assert refused.value.reason == "ended"
    process.clock.now += 1
    await process.sessions.sweep()
    with pytest.raises(SessionUnknown):
        await process.sessions.get("ann", session_id)


async def test_a_session_opened_again_under_its_key_knows_nothing_of_the_one_before(process: Process) -> None:
    first = await process.sessions.create("ann", NEW, "key")
    await process.text(first.session_id, "abc")
    await process.sessions.end("ann", first.session_id)
    process.clock.now += 60
    await process.sessions.sweep()
    again = await process.sessions.create("ann", NEW, "key")
    assert again.session_id == first.session_id
    await process.travel.save("ann", again.session_id, "at the step where the first one stood")
    assert outputs(await process.text(again.session_id, "d", 1))["count"] == 1


async def test_a_session_opened_again_survives_a_sweeper_that_comes_late() -> None:
    async with two_processes() as (store, one, other):
        first = await one.sessions.create("ann", NEW, "key")
        await one.sessions.end("ann", first.session_id)
        one.clock.now += 60
        overdue = await store.overdue(int(one.clock.now), 9)
        assert len(overdue) == 1
        await other.sessions.sweep()
        again = await other.sessions.create("ann", NEW, "key")
        await one.sessions._graveyard.clear(overdue)
        assert outputs(await one.text(again.session_id, "a", 0))["count"] == 1


async def test_gauges_stay_as_they_are_while_the_store_cannot_be_counted(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def count() -> Count:
        raise Unavailable("away")

    await process.create()
    await process.sessions.measure()
    monkeypatch.setattr(store, "count", count)
    await process.create()
    await process.sessions.measure()
    assert process.metrics.registry.get_sample_value("rnn_sessions_active") == 1


async def test_a_sweep_leaves_nothing_that_is_overdue(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.sessions.sessions.SWEEP_RECORDS", 20)
    for _ in range(50):
        await process.create()
    process.clock.now += 10
    alive = await process.create()
    assert await process.sessions.sweep() == 50
    assert (await store.count()).num_live == 1
    assert process.metrics.registry.get_sample_value("rnn_sessions_ended_total", {"reason": "expired"}) == 50
    await process.sessions.get("ann", alive)


@pytest.mark.parametrize("is_swept", [False, True])
async def test_an_idle_session_expires_and_says_so(process: Process, store: FaultyStore, is_swept: bool) -> None:
    session_id = await process.create()
    process.clock.now += 10
    assert (await process.sessions.sweep() if is_swept else 1) == 1
    for _ in range(2):
        with pytest.raises(SessionGone) as refused:
            await process.sessions.get("ann", session_id)
        assert refused.value.reason == "expired"
    stored = await store.stored(session_id)
    assert (stored.ended, stored.body) == ("expired", b"")


async def test_every_step_puts_expiry_off(process: Process) -> None:
    session_id = await process.create(ttl_seconds=5)
    for _ in range(4):
        process.clock.now += 4
        await process.text(session_id, "a")
    assert (await process.sessions.get("ann", session_id)).expires_at == "1970-01-01T00:17:01+00:00"


async def test_looking_at_a_session_does_not_keep_it_alive(process: Process) -> None:
    session_id = await process.create()
    process.clock.now += 9
    await process.sessions.get("ann", session_id)
    process.clock.now += 1
    with pytest.raises(SessionGone):
        await process.sessions.get("ann", session_id)


async def test_a_session_whose_lifetime_is_over_has_expired(store: FaultyStore) -> None:
    async with Process(store, max_session_lifetime_seconds=7) as process:
        session_id = await process.create()
        process.clock.now += 7
        with pytest.raises(SessionGone) as refused:
            await process.sessions.get("ann", session_id)
        assert refused.value.reason == (await store.stored(session_id)).ended == "expired"


async def test_a_life_longer_than_allowed_is_refused(process: Process) -> None:
    with pytest.raises(InvalidInput, match="at most 100 seconds"):
        await process.create(ttl_seconds=101)


async def test_an_unknown_model_is_named_with_those_that_have_sessions(process: Process) -> None:
    with pytest.raises(ModelUnknown, match=r"no model 'sun' is served; there are sessions on \['sum'\]"):
        await process.sessions.create("ann", SessionRequest(model="sun"))
    process.model.is_streamable = False
    with pytest.raises(ModelUnknown, match=r"there are sessions on \[\]"):
        await process.sessions.create("ann", SessionRequest(model="sun"))


async def test_live_sessions_are_listed_in_pages(process: Process) -> None:
    ids = sorted([await process.create() for _ in range(5)])
    await process.create("eve")
    await process.sessions.end("ann", ids[1])
    first = await process.sessions.page("ann", "", 3)
    second = await process.sessions.page("ann", first.next or "", 3)
    assert [view.session_id for view in (*first.sessions, *second.sessions)] == [ids[0], *ids[2:]]
    assert second.next is None


async def test_expired_and_unreadable_sessions_are_not_listed(process: Process, store: FaultyStore) -> None:
    unreadable = await process.create()
    await process.create()
    process.clock.now += 10
    sound = await process.create()
    await store.change(unreadable, body=b"?", used_at=int(process.clock.now))
    assert [view.session_id for view in (await process.sessions.page("ann", "", 10)).sessions] == [sound]


async def test_a_damaged_session_is_told_and_an_unreadable_one_can_still_be_ended(
    process: Process, store: FaultyStore
) -> None:
    damaged, unreadable = await process.create(), await process.create()
    store.damaged.add(damaged)
    await store.change(unreadable, body=b"?")
    for session_id in (damaged, unreadable):
        with pytest.raises(SessionDamaged):
            await process.sessions.get("ann", session_id)
    await process.sessions.end("ann", unreadable)
    with pytest.raises(SessionGone):
        await process.sessions.get("ann", unreadable)


async def test_an_end_takes_the_place_of_the_step_that_it_races_with() -> None:
    async with two_processes() as (store, stepping, ending):
        session_id = await stepping.create()
        store.may_swap.clear()
        end = asyncio.create_task(ending.sessions.end("ann", session_id))
        await settle()
        await store.change(session_id, step=1)
        store.may_swap.set()
        await end
        assert (await store.stored(session_id)).ended == "ended"


async def test_an_end_that_other_writers_always_beat_is_a_conflict(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()

    async def beaten(*_: object) -> list[bool]:
        return [False]

    store.swap = beaten  # type: ignore[method-assign,assignment]
    with pytest.raises(StepConflict):
        await process.sessions.end("ann", session_id)


async def test_a_full_store_gives_the_room_of_the_least_recently_used(store: FaultyStore) -> None:
    store = FaultyStore(max_sessions=20)
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


async def test_a_session_with_a_step_in_flight_is_never_evicted() -> None:
    store = FaultyStore(max_sessions=2)
    async with Process(store) as process:
        ids = [await process.create() for _ in range(2)]
        steps = [process.begin(session_id, "wait") for session_id in ids]
        await settle()
        with pytest.raises(StoreFull):
            await process.create()
        process.model.go.set()
        assert [(await step.result()).step for step in steps] == [1, 1]
        assert (await process.create()) not in ids


async def test_a_step_in_flight_keeps_its_session_alive(process: Process) -> None:
    session_id = await process.create()
    step = process.begin(session_id, "wait", 0)
    await settle()
    process.clock.now += 11
    assert await process.sessions.sweep() == 0
    process.model.go.set()
    assert (await step.result()).step == 1


async def test_a_sweep_keeps_to_the_budget_of_bytes(store: FaultyStore) -> None:
    async with Process(store, Clock(), max_store_bytes=2000, session_ttl_seconds=100) as process:
        newest = [await process.create() for _ in range(40)][-1]
        assert (await store.count()).num_bytes > 3000
        await process.sessions.sweep()
        assert 0 < (await store.count()).num_bytes <= 2000
        assert (await process.sessions.get("ann", newest)).step == 0


async def test_a_store_full_of_bytes_makes_room_too() -> None:
    store = FaultyStore(max_bytes=1000)
    async with Process(store) as process:
        ids = [await process.create() for _ in range(30)]
        assert (await process.sessions.get("ann", ids[-1])).step == 0


async def test_a_store_that_is_down_is_a_refusal_of_every_verb(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    store.is_down = True
    verbs = (
        process.sessions.create("ann", NEW),
        process.sessions.create("ann", NEW, "key"),
        process.sessions.get("ann", session_id),
        process.sessions.page("ann", "", 10),
        process.sessions.end("ann", session_id),
    )
    for verb in verbs:
        with pytest.raises(StoreUnavailable):
            await verb
    store.is_down = False
    assert (await process.sessions.get("ann", session_id)).step == 0


async def test_a_store_that_goes_down_while_room_is_made_is_a_refusal() -> None:
    class Failing(FaultyStore):
        async def idlest(self, limit: int) -> list:
            self.is_down = True
            return await super().idlest(limit)

    async with Process(Failing(max_sessions=1)) as process:
        await process.create()
        with pytest.raises(StoreUnavailable):
            await process.create()


async def test_gauges_are_those_of_the_store(process: Process, store: FaultyStore) -> None:
    for _ in range(3):
        await process.create()
    await process.sessions.measure()
    sample = process.metrics.registry.get_sample_value
    assert sample("rnn_sessions_active") == 3
    assert sample("rnn_state_bytes") == (await store.count()).num_bytes


async def test_a_key_opens_one_session_however_often_it_is_sent(process: Process) -> None:
    first = await process.sessions.create("ann", NEW, "key")
    again = await asyncio.gather(*(process.sessions.create("ann", NEW, "key") for _ in range(3)))
    assert [view.session_id for view in again] == [first.session_id] * 3
    await process.text(first.session_id, "a")
    assert (await process.sessions.create("ann", NEW, "key")).step == 1


async def test_a_key_opens_one_session_in_any_process() -> None:
    async with two_processes() as (_, one, other):
        views = await asyncio.gather(*(process.sessions.create("ann", NEW, "key") for process in (one, other)))
        assert views[0] == views[1]


async def test_a_key_with_another_request_is_refused(process: Process) -> None:
    await process.sessions.create("ann", NEW, "key")
    for other in (SessionRequest(model="sum", ttl_seconds=5), SessionRequest(model="sum", keep_inputs=True)):
        with pytest.raises(IdempotencyMismatch):
            await process.sessions.create("ann", other, "key")


async def test_the_same_key_of_another_owner_opens_another_session(process: Process) -> None:
    ids = {(await process.sessions.create(owner, NEW, "key")).session_id for owner in ("ann", "eve", "")}
    assert len(ids) == 3


async def test_a_key_finds_its_session_in_a_full_store() -> None:
    async with Process(FaultyStore(max_sessions=1)) as process:
        first = await process.sessions.create("ann", NEW, "key")
        assert (await process.sessions.create("ann", NEW, "key")).session_id == first.session_id


async def test_a_key_whose_session_has_ended_says_so_until_that_is_forgotten(process: Process) -> None:
    first = await process.sessions.create("ann", NEW, "key")
    await process.sessions.end("ann", first.session_id)
    with pytest.raises(SessionGone):
        await process.sessions.create("ann", NEW, "key")
    process.clock.now += 60
    await process.sessions.sweep()
    assert (await process.sessions.create("ann", NEW, "key")).step == 0
