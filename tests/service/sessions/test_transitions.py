"""Checkpoints and rollbacks."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import pytest

from service.errors import (
    CheckpointUnknown,
    SessionGone,
    SessionUnknown,
    StepConflict,
    StoreUnavailable,
    TooManyCheckpoints,
    VersionLeft,
)
from service.forms.sessions import ForkRequest, MigrateRequest, RollbackRequest
from service.record.body import Body, decode, encode
from service.record.sequence_state import SequenceState
from service.steps.turn import Answer
from service.stores.base import CHECKPOINT, Record, Swap
from tests.fakes.clock import Clock
from tests.fakes.process import Process, outputs, two_processes, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def stepped(process: Process, *texts: str) -> str:
    session_id = await process.create()
    for text in texts:
        await process.text(session_id, text)
    return session_id


def back(name: str, step: int | None = None) -> RollbackRequest:
    return RollbackRequest(checkpoint=name, step=step)


A_DAY = 86400


def num_checkpoints(store: FaultyStore) -> int:
    """Saved states that the store keeps."""
    return sum(record.ended == CHECKPOINT for record in store._records.values())


@contextlib.contextmanager
def held_step(store: FaultyStore) -> Iterator[None]:
    """Hold up steps of sessions, but not what is written of checkpoints."""
    swap = store.swap

    async def held(swaps: Sequence[Swap]) -> list[bool]:
        if not swaps[0].record.ended:
            store.may_swap.clear()
        return await swap(swaps)

    store.swap = held  # type: ignore[method-assign]
    yield
    store.swap = swap  # type: ignore[method-assign]
    store.may_swap.set()


async def test_a_save_is_a_step_that_can_be_repeated(process: Process) -> None:
    session_id = await stepped(process, "ab")
    first = await process.transitions.save("ann", session_id, "here", 1)
    assert first == Answer(session_id, 2, b'{"save":"here"}')
    assert await process.transitions.save("ann", session_id, "here", 1) == first
    for name, step in (("there", 1), ("here", 0), ("here", 5)):
        with pytest.raises(StepConflict) as refused:
            await process.transitions.save("ann", session_id, name, step)
        assert refused.value.expected_step == 2
    assert (await process.sessions.get("ann", session_id)).checkpoints == ["here"]
    assert outputs(await process.text(session_id, "c", 2))["count"] == 3


@pytest.mark.parametrize("is_exported", [False, True])
async def test_a_copy_does_not_acknowledge_a_save_of_the_other_session(process: Process, is_exported: bool) -> None:
    session_id = await stepped(process, "ab")
    await process.transitions.save("ann", session_id, "here", 1)
    if is_exported:
        blob = await process.transfers.export("ann", session_id)
        copy = await process.transfers.import_session("ann", blob)
    else:
        copy = await process.transfers.fork("ann", session_id, ForkRequest())
    with pytest.raises(StepConflict, match=r"^step 1 saved checkpoint 'here' in .* step 2 is next") as no:
        await process.transitions.save("ann", copy.session_id, "here", 1)
    assert no.value.expected_step == 2
    counted = process.metrics.registry.get_sample_value
    assert (counted("rnn_step_conflicts_total"), counted("rnn_step_replays_total")) == (1, 0)
    answer = await process.transitions.save("ann", copy.session_id, "here", 2)
    assert await process.transitions.save("ann", copy.session_id, "here", 2) == answer
    assert (await process.sessions.get("ann", copy.session_id)).checkpoints == ["here"]


async def test_a_rollback_returns_to_the_state_and_never_to_the_number(process: Process) -> None:
    session_id = await stepped(process, "ab+")
    await process.transitions.save("ann", session_id, "here")
    await process.text(session_id, "cde")
    answer = await process.transitions.roll_back("ann", session_id, back("here", 3))
    assert answer == Answer(session_id, 4, b'{"rollback":"here"}')
    assert await process.transitions.roll_back("ann", session_id, back("here", 3)) == answer
    assert outputs(await process.text(session_id, "z", 4))["count"] == 4
    await process.transitions.roll_back("ann", session_id, back("here"))
    assert await process.count(session_id) == 2
    assert (await process.sessions.get("ann", session_id)).step == 6


async def test_a_rollback_takes_the_chance_of_its_own_steps(process: Process) -> None:
    session_id = await stepped(process)
    await process.transitions.save("ann", session_id, "start")
    first = outputs(await process.text(session_id, "a"))
    await process.transitions.roll_back("ann", session_id, back("start"))
    again = outputs(await process.text(session_id, "a"))
    assert (again["count"], again["seed"] != first["seed"]) == (1, True)


async def test_a_checkpoint_of_a_name_replaces_the_older_one(process: Process, store: FaultyStore) -> None:
    session_id = await stepped(process, "ab")
    await process.transitions.save("ann", session_id, "here")
    num_bytes = (await store.count()).num_bytes
    await process.text(session_id, "cde")
    await process.transitions.save("ann", session_id, "here")
    assert (await process.sessions.get("ann", session_id)).checkpoints == ["here"]
    assert (await store.count()).num_bytes < num_bytes + 50
    await process.transitions.roll_back("ann", session_id, back("here"))
    assert await process.count(session_id) == 5


async def test_there_is_a_limit_of_checkpoints_that_an_older_name_does_not_count_against(process: Process) -> None:
    session_id = await process.create()
    for name in "abc":
        await process.transitions.save("ann", session_id, name)
    with pytest.raises(TooManyCheckpoints):
        await process.transitions.save("ann", session_id, "d")
    await process.transitions.save("ann", session_id, "b")
    await process.transitions.forget("ann", session_id, "a")
    await process.transitions.save("ann", session_id, "d")
    assert (await process.sessions.get("ann", session_id)).checkpoints == ["b", "c", "d"]


async def test_a_forgotten_checkpoint_is_unknown_and_forgetting_can_be_repeated(
    process: Process, store: FaultyStore
) -> None:
    session_id = await stepped(process, "ab")
    num_bytes = (await store.count()).num_bytes
    await process.transitions.save("ann", session_id, "here")
    answer = await process.transitions.forget("ann", session_id, "here", 2)
    assert answer == Answer(session_id, 3, b'{"forget":"here"}')
    assert await process.transitions.forget("ann", session_id, "here", 2) == answer
    assert (await store.count()).num_bytes < num_bytes + 50
    for attempt in (
        process.transitions.forget("ann", session_id, "here"),
        process.transitions.roll_back("ann", session_id, back("here")),
        process.transfers.fork("ann", session_id, ForkRequest(checkpoint="here")),
    ):
        with pytest.raises(CheckpointUnknown):
            await attempt


async def test_checkpoints_are_gone_with_their_session(process: Process, store: FaultyStore) -> None:
    session_id = await stepped(process, "ab")
    for name in "ab":
        await process.transitions.save("ann", session_id, name)
    await process.sessions.end("ann", session_id)
    assert (await store.count()).num_bytes == 0
    with pytest.raises(SessionGone):
        await process.transitions.roll_back("ann", session_id, back("a"))


async def test_a_checkpoint_outlives_the_idle_time_but_not_the_lifetime(store: FaultyStore) -> None:
    async with Process(store, max_session_lifetime_seconds=50) as process:
        session_id = await process.create()
        await process.transitions.save("ann", session_id, "start")
        for _ in range(4):
            process.clock.now += 9
            await process.text(session_id, "a")
        await process.housekeeping.sweep()
        await process.transitions.roll_back("ann", session_id, back("start"))
        assert await process.count(session_id) == 0
        process.clock.now += 1000
        await process.housekeeping.sweep()
        await process.housekeeping.sweep()
        assert (await store.count()).num_bytes == 0


async def test_a_checkpoint_lives_as_long_as_its_session_after_the_lifetime_was_raised(store: FaultyStore) -> None:
    clock, week = Clock(), 7 * 86400
    idle = {"session_ttl_seconds": week, "max_session_ttl_seconds": week}
    async with Process(store, clock, max_session_lifetime_seconds=50, **idle) as process:
        session_id = await stepped(process, "ab")
        await process.transitions.save("ann", session_id, "here")
    async with Process(store, clock, max_session_lifetime_seconds=week, **idle) as process:
        await process.text(session_id, "c")
        for seconds in (60, 86400):
            clock.now += seconds
            assert [await process.housekeeping.sweep() for _ in range(2)] == [1, 0]
            await process.transitions.roll_back("ann", session_id, back("here"))
            assert await process.count(session_id) == 2
        clock.now += week
        await process.housekeeping.sweep()
        assert (await store.count()).num_bytes == num_checkpoints(store) == 0


async def test_a_checkpoint_that_its_session_does_not_list_goes_when_it_is_overdue(
    process: Process, store: FaultyStore
) -> None:
    session_id = await process.create(ttl_seconds=100)
    await process.transitions.save("ann", session_id, "here")
    (saved,) = [record for record in store._records.values() if record.ended == CHECKPOINT]
    left_behind = saved._replace(session_id=f"{session_id}~here~7", ttl_seconds=50)
    await store.swap([Swap(left_behind, None)])
    process.clock.now += 60
    await process.housekeeping.sweep()
    assert num_checkpoints(store) == 1
    await process.transitions.roll_back("ann", session_id, back("here"))


async def test_a_checkpoint_is_no_session(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    await process.transitions.save("ann", session_id, "here")
    (record,) = [record for record in store._records.values() if record.ended == CHECKPOINT]
    with pytest.raises(SessionUnknown):
        await process.text(record.session_id, "a")
    assert len((await process.sessions.page("ann", "", 10)).sessions) == 1


async def test_a_checkpoint_that_is_replaced_while_it_is_looked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_processes() as (_, one, other):
        session_id = await stepped(one, "ab")
        await one.transitions.save("ann", session_id, "here")
        await one.text(session_id, "c")
        read = one.sessions.find_record

        async def read_late(record_id: str) -> Record | None:
            monkeypatch.setattr(one.sessions, "find_record", read)
            await other.transitions.save("ann", session_id, "here")
            return await read(record_id)

        monkeypatch.setattr(one.sessions, "find_record", read_late)
        fork = await one.transfers.fork("ann", session_id, ForkRequest(checkpoint="here"))
        assert (fork.step, await one.count(fork.session_id)) == (4, 3)
        await one.text(session_id, "d")
        monkeypatch.setattr(one.sessions, "find_record", read_late)
        assert (await one.transitions.roll_back("ann", session_id, back("here"))).step == 7
        assert await one.count(session_id) == 4


async def test_a_save_that_loses_its_step_leaves_the_older_checkpoint_as_it_was() -> None:
    async with two_processes() as (store, one, other):
        session_id = await stepped(one, "ab")
        await one.transitions.save("ann", session_id, "here")
        await one.text(session_id, "cde")
        store.may_swap.clear()
        losing = asyncio.create_task(one.transitions.save("ann", session_id, "here", 3))
        await until(lambda: store.num_held == 1)
        await store.change(session_id, step=4)  # another writer's step
        store.may_swap.set()
        with pytest.raises(StepConflict):
            await losing
        assert num_checkpoints(store) == 1
        await other.transitions.roll_back("ann", session_id, back("here"))
        assert await one.count(session_id) == 2


async def test_a_save_without_a_number_that_loses_its_step_saves_what_is_then() -> None:
    async with two_processes() as (store, one, other):
        session_id = await stepped(one, "ab")
        store.may_swap.clear()
        losing = asyncio.create_task(one.transitions.save("ann", session_id, "here"))
        stepping = asyncio.create_task(other.text(session_id, "cde", 1))
        await until(lambda: store.num_held == 2)
        store.may_swap.set()
        await asyncio.gather(losing, stepping)
        await one.text(session_id, "f")
        await one.transitions.roll_back("ann", session_id, back("here"))
        assert await one.count(session_id) in (2, 5)
        assert num_checkpoints(store) == 1
        assert (await one.sessions.get("ann", session_id)).step == 5


async def test_a_save_that_loses_to_the_end_of_its_session_leaves_nothing_behind(
    process: Process, store: FaultyStore
) -> None:
    session_id = await stepped(process, "ab")
    with held_step(store):
        losing = asyncio.create_task(process.transitions.save("ann", session_id, "here", 1))
        await until(lambda: store.num_held == 1)
        await store.change(session_id, step=2, ended="ended", body=b"")
    with pytest.raises(SessionGone):
        await losing
    assert num_checkpoints(store) == 0


async def test_a_save_whose_answer_is_lost_keeps_its_checkpoint(process: Process, store: FaultyStore) -> None:
    session_id = await process.create(ttl_seconds=100)
    await process.text(session_id, "ab")
    with held_step(store):
        saving = asyncio.create_task(process.transitions.save("ann", session_id, "here", 1))
        await until(lambda: store.num_held == 1)
        store.loses_answers = True
    with pytest.raises(StoreUnavailable):
        await saving
    store.loses_answers = False
    await process.transitions.roll_back("ann", session_id, back("here"))
    assert await process.count(session_id) == 2


async def test_a_save_whose_checkpoint_cannot_be_written_takes_no_step(process: Process, store: FaultyStore) -> None:
    session_id = await stepped(process, "ab")
    swap = store.swap

    async def lost(swaps: Sequence[Swap]) -> list[bool]:
        return [False] if swaps[0].record.ended == CHECKPOINT else await swap(swaps)

    store.swap = lost  # type: ignore[method-assign]
    with pytest.raises(StepConflict, match="other writers"):
        await process.transitions.save("ann", session_id, "here", 1)
    assert (await process.sessions.get("ann", session_id)).step == 1


async def test_a_checkpoint_stays_if_its_sessions_body_is_of_another_version(
    process: Process, store: FaultyStore
) -> None:
    session_id = await process.create()
    await process.transitions.save("ann", session_id, "here")
    await store.change(session_id, body=b"\x09", ttl_seconds=100 * A_DAY)
    process.clock.now += 91 * A_DAY
    await process.housekeeping.sweep()
    assert num_checkpoints(store) == 1


async def test_two_saves_of_one_name_and_step_are_one() -> None:
    async with two_processes() as (_, one, other):
        session_id = await stepped(one, "ab")
        answers = await asyncio.gather(*(each.transitions.save("ann", session_id, "here", 1) for each in (one, other)))
        assert answers[0] == answers[1]
        await one.transitions.roll_back("ann", session_id, back("here"))
        assert await one.count(session_id) == 2


async def test_a_save_that_finds_the_checkpoint_of_another_attempt_writes_its_own_even_if_that_is_deleted_meanwhile(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await stepped(process, "ab")
    left_behind = Record(f"{session_id}~here~1", "ann", "sum:0", 0, 1000, 10, CHECKPOINT)
    await store.swap([Swap(left_behind, None)])
    write = process.sessions.write

    async def write_later(swap: Swap) -> bool:
        if swap.expected_step == 0:
            await store.delete([left_behind.session_id])
        return await write(swap)

    monkeypatch.setattr(process.sessions, "write", write_later)
    await process.transitions.save("ann", session_id, "here", 1)
    await process.transitions.roll_back("ann", session_id, back("here"))
    assert await process.count(session_id) == 2


async def test_a_checkpoint_holds_nothing_of_its_session_but_the_state(store: FaultyStore) -> None:
    async with Process(store, max_session_lifetime_seconds=15) as process:
        session_id = await process.create()
        await process.transitions.save("ann", session_id, "older")
        process.clock.now += 8
        await process.text(session_id, "ab")
        record = await store.stored(session_id)
        body = decode(record.body)._replace(answer=b"", before=SequenceState())
        assert body.idle_seconds
        assert body.checkpoints
        await store.change(session_id, body=encode(body))
        await process.transitions.save("ann", session_id, "here")
        saved = decode((await store.stored(f"{session_id}~here~2")).body)
    assert saved == Body(body.created_at, body.secret, body.state, body.numerics)


async def test_a_damaged_checkpoint_is_told_and_the_session_goes_on(process: Process, store: FaultyStore) -> None:
    session_id = await stepped(process, "ab")
    await process.transitions.save("ann", session_id, "here")
    (record,) = [record for record in store._records.values() if record.ended == CHECKPOINT]
    store.damaged.add(record.session_id)
    with pytest.raises(CheckpointUnknown, match="damaged or lost"):
        await process.transitions.roll_back("ann", session_id, back("here"))
    assert (await process.text(session_id, "c")).step == 3


async def test_a_session_that_left_a_version_returns_to_its_states_only_once_it_is_back(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create(keep_inputs=True)
        await process.text(session_id, "ab")
        await process.transitions.save("ann", session_id, "here")
        await process.text(session_id, "cde")
        await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        for attempt in (
            process.transitions.roll_back("ann", session_id, back("here")),
            process.transfers.fork("ann", session_id, ForkRequest(checkpoint="here")),
        ):
            with pytest.raises(VersionLeft, match="which the session has left for sum:1: migrate back to sum:0 first"):
                await attempt
        await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:0"))
        await process.transitions.roll_back("ann", session_id, back("here"))
        assert await process.count(session_id) == 2


async def test_repeated_and_refused_steps_are_counted_as_all_others_are(process: Process) -> None:
    session_id = await stepped(process, "ab")
    for step in (1, 1, 5):
        with contextlib.suppress(StepConflict):
            await process.transitions.save("ann", session_id, "here", step)
    with pytest.raises(StepConflict):
        await process.transitions.roll_back("ann", session_id, back("here", 0))
    counted = process.metrics.registry.get_sample_value
    assert (counted("rnn_step_replays_total"), counted("rnn_step_conflicts_total")) == (1, 2)


async def test_a_step_after_a_transition_is_not_computed_from_what_was_before(store: FaultyStore) -> None:
    async with Process(store, max_cached_sessions=100) as process:
        session_id = await process.create()
        await process.text(session_id, "ab")
        await process.transitions.save("ann", session_id, "here")
        await process.text(session_id, "c")
        assert process.model.num_computed == 2
