"""Sessions that live: shown, listed, expired, ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from service.errors import (
    SessionDamaged,
    SessionGone,
    SessionUnknown,
    StepConflict,
    StoreUnavailable,
)
from service.forms.sessions import ForkRequest
from service.sessions.sequences import SequencePart
from service.stores.base import Record
from tests.fakes.clock import Clock
from tests.fakes.process import NEW, Process, settle, two_processes, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


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
    await process.housekeeping.sweep()
    with pytest.raises(SessionUnknown):
        await process.sessions.get("ann", session_id)


async def test_every_step_puts_expiry_off(process: Process) -> None:
    session_id = await process.create(ttl_seconds=5)
    for _ in range(4):
        process.clock.now += 4
        await process.text(session_id, "a")
    assert (await process.sessions.get("ann", session_id)).expires_at == "1970-01-01T00:17:01+00:00"


async def forked(process: Process, session_id: str) -> str:
    return (await process.transfers.fork("ann", session_id, ForkRequest())).session_id


async def imported(process: Process, session_id: str) -> str:
    blob = await process.transfers.export("ann", session_id)
    return (await process.transfers.import_session("ann", blob)).session_id


async def begun(process: Process, _: str) -> str:
    part = SequencePart("s", "sum", is_start=True)
    taken = await process.sequences.part("ann", process.model, part, np.array([1]), ["logits"])
    return taken.answer.session_id


USES: dict[str, Callable[[Process, str], Awaitable[Any]]] = {
    "create": lambda process, _: process.create(),
    "text": lambda process, session_id: process.text(session_id, "a"),
    "tensors": lambda process, session_id: process.ids(session_id, 1),
    "save": lambda process, session_id: process.transitions.save("ann", session_id, "here"),
    "fork": forked,
    "import": imported,
    "sequence": begun,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("max_cached_sessions", [0, 100])
async def test_a_session_is_over_at_most_a_second_late_and_never_early(
    store: FaultyStore, use: Callable[[Process, str], Awaitable[object]], max_cached_sessions: int
) -> None:
    async with Process(store, Clock(1000.1), max_cached_sessions=max_cached_sessions, session_ttl_seconds=2) as process:
        session_id = await process.create()
        process.clock.now = 1001.9
        used = await use(process, session_id)
        session_id = used if isinstance(used, str) else session_id
        process.clock.now += 1.99
        await process.housekeeping.sweep()
        await process.text(session_id, "a")
        process.clock.now += 3
        with pytest.raises(SessionGone):
            await process.text(session_id, "a")


@pytest.mark.parametrize("use", [USES[name] for name in ("create", "fork", "import", "sequence")])
async def test_a_lifetime_is_over_at_most_a_second_late_and_never_early(
    store: FaultyStore, use: Callable[[Process, str], Awaitable[str]]
) -> None:
    async with Process(store, Clock(1000.9), max_session_lifetime_seconds=2) as process:
        session_id = await use(process, await process.create())
        process.clock.now += 1.99
        await process.housekeeping.sweep()
        await process.text(session_id, "a")
        process.clock.now += 1.01
        with pytest.raises(SessionGone):
            await process.text(session_id, "a")


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
        assert refused.value.reason == "expired"
        await until(lambda: not process._spawned)
        assert (await store.stored(session_id)).ended == "expired"


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


async def test_a_store_that_is_down_is_a_refusal_of_every_verb(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    store.is_down = True
    verbs = (
        process.openings.create("ann", NEW),
        process.openings.create("ann", NEW, "key"),
        process.sessions.get("ann", session_id),
        process.sessions.page("ann", "", 10),
        process.sessions.end("ann", session_id),
    )
    for verb in verbs:
        with pytest.raises(StoreUnavailable):
            await verb
    store.is_down = False
    assert (await process.sessions.get("ann", session_id)).step == 0


async def test_a_session_that_has_gone_on_is_not_ended_at_its_former_step(process: Process) -> None:
    session_id = await process.create()
    await process.text(session_id, "a")
    await process.sessions.end_at("ann", session_id, 0)
    assert (await process.sessions.get("ann", session_id)).step == 1
    await process.sessions.end_at("ann", session_id, 1)
    with pytest.raises(SessionGone):
        await process.sessions.get("ann", session_id)


async def test_a_session_that_is_over_is_not_listed_and_not_taken_for_damage(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    over, live = await process.create(), await process.create()
    await process.sessions.end("ann", over)
    page = await process.sessions.page("ann", "", 10)
    assert [each.session_id for each in page.sessions] == [live]
    assert not caplog.records


async def test_a_session_that_is_older_than_one_may_be_now_is_buried_when_it_is_looked_at(store: FaultyStore) -> None:
    clock = Clock()
    async with Process(store, clock) as process:
        session_id = await process.create(ttl_seconds=100)
    clock.now += 25
    async with Process(store, clock, max_session_lifetime_seconds=25) as process:
        with pytest.raises(SessionGone):
            await process.sessions.get("ann", session_id)
    assert (await store.stored(session_id)).ended == "expired"


async def test_a_session_is_shown_to_expire_with_the_lifetime_that_is_allowed_now(store: FaultyStore) -> None:
    clock = Clock()
    async with (
        Process(store, clock) as process,
        Process(store, clock, max_session_lifetime_seconds=25) as stricter,
    ):
        session_id = await process.create(ttl_seconds=100)
        assert (await process.sessions.get("ann", session_id)).expires_at == "1970-01-01T00:18:20+00:00"
        assert (await stricter.sessions.get("ann", session_id)).expires_at == "1970-01-01T00:17:05+00:00"
        clock.now += 25
        assert len((await process.sessions.page("ann", "", 9)).sessions) == 1
        assert (await stricter.sessions.page("ann", "", 9)).sessions == []


async def test_no_verb_waits_for_a_store_that_hangs_longer_than_the_limit(store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=0.1) as process:
        session_id = await process.create()
        reads = (process.sessions.get, process.sessions.end, process.transfers.export)
        store.may_load.clear()
        for read in reads:
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(read("ann", session_id), 10)
        store.may_load.set()
        store.may_swap.clear()
        writes = (
            process.sessions.end("ann", session_id),
            process.openings.create("ann", NEW),
            process.transitions.save("ann", session_id, "start"),
            process.transfers.fork("ann", session_id, ForkRequest()),
        )
        for write in writes:
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(write, 10)
        store.may_swap.set()
        assert (await process.sessions.get("ann", session_id)).step == 0


async def test_a_store_that_does_not_wait_is_called_without_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Process(FaultyStore(is_immediate=True)) as process:
        session_id = await process.create()
        monkeypatch.setattr(asyncio, "timeout", None)
        assert (await process.sessions.get("ann", session_id)).step == 0


async def test_a_store_that_hangs_is_counted_as_one_that_fails(store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=0.02) as process:
        session_id = await process.create()
        store.may_load.clear()
        with pytest.raises(StoreUnavailable):
            await process.sessions.get("ann", session_id)
        labels = {"backend": "memory", "op": "load"}
        assert process.metrics.registry.get_sample_value("rnn_store_errors_total", labels) == 1
        store.may_load.set()


async def test_a_page_is_read_in_parts_between_which_others_have_their_turn(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.sessions.sessions.RECORDS_AT_ONCE", 2)
    created = {await process.create() for _ in range(7)}
    asked, page = list[int](), store.page

    async def counted(owner: str, after: str, limit: int) -> list[Record]:
        asked.append(limit)
        return await page(owner, after, limit)

    monkeypatch.setattr(store, "page", counted)
    first = await process.sessions.page("ann", "", 5)
    assert (len(first.sessions), asked) == (5, [2, 2, 1])
    rest = await process.sessions.page("ann", first.next or "", 5)
    assert {view.session_id for view in (*first.sessions, *rest.sessions)} == created
    assert rest.next is None
