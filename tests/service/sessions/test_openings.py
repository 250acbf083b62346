"""Sessions as they begin: new, opened before under their key, or in another's place."""

import asyncio

import pytest

from service.errors import (
    IdempotencyMismatch,
    InvalidInput,
    ModelUnknown,
    NotStreamable,
    SessionGone,
    StoreFull,
    StoreUnavailable,
)
from service.forms.sessions import SessionRequest
from service.sessions.housekeeping import EVICTED_AT_ONCE, MAX_EVICTIONS
from service.stores.limits import Limits
from tests.fakes.model import WholeModel
from tests.fakes.process import LIMITS, NEW, Process, outputs, two_processes
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def test_a_session_is_shown_as_it_was_opened(process: Process) -> None:
    request = SessionRequest(model="sum", ttl_seconds=5, keep_inputs=True)
    view = await process.openings.create("ann", request)
    assert view.model_dump(exclude={"session_id"}) == {
        "model": "sum",
        "bundle": "sum:0",
        "step": 0,
        "expires_at": "1970-01-01T00:16:45+00:00",
        "ttl_seconds": 5,
        "keep_inputs": True,
    }
    assert await process.sessions.get("ann", view.session_id) == view
    plain = await process.openings.create("ann", SessionRequest(model="sum"))
    assert (plain.ttl_seconds, plain.keep_inputs) == (LIMITS["session_ttl_seconds"], False)


async def test_there_is_no_session_on_a_model_that_needs_whole_inputs(process: Process) -> None:
    process.serve(WholeModel)
    with pytest.raises(NotStreamable, match="sum needs whole inputs"):
        await process.create()


async def test_a_session_opened_again_under_its_key_knows_nothing_of_the_one_before(process: Process) -> None:
    first = await process.openings.create("ann", NEW, "key")
    await process.text(first.session_id, "abc")
    await process.sessions.end("ann", first.session_id)
    process.clock.now += 60
    await process.housekeeping.sweep()
    again = await process.openings.create("ann", NEW, "key")
    assert again.session_id == first.session_id
    await process.transitions.save("ann", again.session_id, "at the step where the first one stood")
    assert outputs(await process.text(again.session_id, "d", 1))["count"] == 1


async def test_a_session_opened_again_survives_a_sweeper_that_comes_late() -> None:
    async with two_processes() as (store, one, other):
        first = await one.openings.create("ann", NEW, "key")
        await one.sessions.end("ann", first.session_id)
        one.clock.now += 60
        overdue = await store.overdue(int(one.clock.now), 9)
        assert len(overdue) == 1
        await other.housekeeping.sweep()
        again = await other.openings.create("ann", NEW, "key")
        await one.sessions._graveyard.clear(overdue, int(one.clock.now))
        assert outputs(await one.text(again.session_id, "a", 0))["count"] == 1


async def test_a_life_longer_than_allowed_is_refused(process: Process) -> None:
    with pytest.raises(InvalidInput, match="at most 100 seconds"):
        await process.create(ttl_seconds=101)


async def test_an_unknown_model_is_named_with_those_that_have_sessions(process: Process) -> None:
    with pytest.raises(ModelUnknown, match=r"no model 'sun' is served; there are sessions on \['sum'\]"):
        await process.openings.create("ann", SessionRequest(model="sun"))
    process.serve(WholeModel)
    with pytest.raises(ModelUnknown, match=r"there are sessions on \[\]"):
        await process.openings.create("ann", SessionRequest(model="sun"))


async def test_a_store_that_goes_down_while_room_is_made_is_a_refusal() -> None:
    class Failing(FaultyStore):
        async def idlest(self, limit: int) -> list:
            self.is_down = True
            return await super().idlest(limit)

    async with Process(Failing(Limits(max_sessions=1))) as process:
        await process.create()
        with pytest.raises(StoreUnavailable):
            await process.create()


@pytest.mark.parametrize(("max_sessions", "first"), [(50, 1), (350, 3)])
async def test_each_attempt_at_a_full_store_makes_twice_as_much_room(
    monkeypatch: pytest.MonkeyPatch, max_sessions: int, first: int
) -> None:
    asked: list[int] = []

    async def make_room(most: int) -> int:
        asked.append(most)
        return most

    async with Process(FaultyStore(Limits(max_sessions=0)), max_sessions=max_sessions) as process:
        monkeypatch.setattr(process.housekeeping, "make_room", make_room)
        with pytest.raises(StoreFull):
            await process.create()
    assert asked == [min(EVICTED_AT_ONCE, first * 2**attempt) for attempt in range(MAX_EVICTIONS)]


async def test_who_found_room_once_tries_again_when_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [0, 1, 0, 0, 1]

    async def make_room(_: int) -> int:
        return found.pop(0)

    async with Process(FaultyStore(Limits(max_sessions=0))) as process:
        monkeypatch.setattr(process.housekeeping, "make_room", make_room)
        with pytest.raises(StoreFull):
            await process.create()
    assert found == [1]


async def test_a_key_opens_one_session_however_often_it_is_sent(process: Process) -> None:
    first = await process.openings.create("ann", NEW, "key")
    again = await asyncio.gather(*(process.openings.create("ann", NEW, "key") for _ in range(3)))
    assert [view.session_id for view in again] == [first.session_id] * 3
    await process.text(first.session_id, "a")
    assert (await process.openings.create("ann", NEW, "key")).step == 1


async def test_a_key_opens_one_session_in_any_process() -> None:
    async with two_processes() as (_, one, other):
        views = await asyncio.gather(*(process.openings.create("ann", NEW, "key") for process in (one, other)))
        assert views[0] == views[1]


async def test_a_key_with_another_request_is_refused(process: Process) -> None:
    await process.openings.create("ann", NEW, "key")
    for other in (SessionRequest(model="sum", ttl_seconds=5), SessionRequest(model="sum", keep_inputs=True)):
        with pytest.raises(IdempotencyMismatch):
            await process.openings.create("ann", other, "key")


async def test_the_same_key_of_another_owner_opens_another_session(process: Process) -> None:
    ids = {(await process.openings.create(owner, NEW, "key")).session_id for owner in ("ann", "eve", "")}
    assert len(ids) == 3


async def test_a_key_finds_its_session_in_a_full_store() -> None:
    async with Process(FaultyStore(Limits(max_sessions=1))) as process:
        first = await process.openings.create("ann", NEW, "key")
        assert (await process.openings.create("ann", NEW, "key")).session_id == first.session_id


async def test_a_key_whose_session_has_ended_says_so_until_that_is_forgotten(process: Process) -> None:
    first = await process.openings.create("ann", NEW, "key")
    await process.sessions.end("ann", first.session_id)
    with pytest.raises(SessionGone):
        await process.openings.create("ann", NEW, "key")
    process.clock.now += 60
    await process.housekeeping.sweep()
    assert (await process.openings.create("ann", NEW, "key")).step == 0


@pytest.mark.parametrize("first", [0, 1])
async def test_a_key_stands_for_one_session_on_all_workers_after_the_store_has_lost_its_data(first: int) -> None:
    async with two_processes() as (store, one, newer):
        workers = [one, newer]
        before = await one.openings.create("ann", NEW, "key")
        await store.lose_all()
        found = [await each.openings.create("ann", NEW, "key") for each in (workers[first], workers[1 - first])]
        assert found[0] == found[1]
        assert (found[0].session_id == before.session_id) == (first == 0)


async def test_a_worker_learns_of_another_secret_and_gives_back_its_own_without_a_request() -> None:
    async with two_processes() as (store, one, newer):
        await one.openings.confirm_secret()
        assert await store.notes("") == {}
        await one.openings.create("ann", NEW, "key")
        noted = await store.notes("")
        await store.lose_all()
        await one.openings.confirm_secret()
        assert await store.notes("") == noted
        await store.lose_all()
        found = await newer.openings.create("ann", NEW, "key")
        await one.openings.confirm_secret()
        store.are_notes_down = True
        assert await one.openings.keyed_id("ann", "key") == found.session_id
