"""Sequences under a client's own ids: what a start does to what is there, and who is first."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from service.errors import SequenceUnknown, SessionGone, StepConflict, StoreFull, StoreUnavailable
from service.metrics import ENDS
from service.sessions.sequences import SequencePart, Taken
from service.stores.base import Swap, Unavailable
from service.stores.limits import Limits
from tests.fakes.clock import Clock
from tests.fakes.graphs import BAD, logits_of
from tests.fakes.process import Process, settle, two_processes, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
START, PART, END = (
    SequencePart("s", "sum", is_start=True),
    SequencePart("s", "sum"),
    SequencePart("s", "sum", is_end=True),
)


async def take(process: Process, part: SequencePart, *ids: int, owner: str = "ann") -> Taken:
    """A part with its logits."""
    sequences = process.sequences
    return await sequences.part(owner, process.model, part, np.array(ids), ["logits"])


def is_after(taken: Taken, total: int) -> bool:
    """Whether a sequence has summed up so much after one more item."""
    return taken.outputs["logits"].tobytes() == logits_of(np.array([[total]])).tobytes()


async def test_a_start_begins_anew_whatever_was_there_and_the_step_goes_on(process: Process) -> None:
    steps = [(await take(process, part, 5)).answer.step for part in (START, PART, START, END, START)]
    assert steps[0] == process.clock.now * 1000
    assert steps == sorted(set(steps))
    assert is_after(await take(process, PART, 1), 6)


async def test_each_start_opens_a_session_and_ends_the_one_before_as_what_it_was(process: Process) -> None:
    for part in (START, START, END, START):
        await take(process, part, 5)
    process.clock.now += 11
    await take(process, START, 5)
    sample = process.metrics.registry.get_sample_value
    ends = {reason: sample("rnn_sessions_ended_total", {"reason": reason}) for reason in ENDS}
    assert ends == {"ended": 1, "expired": 1, "evicted": 0, "replaced": 1}
    assert sample("rnn_sessions_opened_total") == 4


async def test_a_start_has_another_secret_and_no_checkpoints(process: Process, store: FaultyStore) -> None:
    session_id = (await take(process, START, 5)).answer.session_id
    before = await process.sessions.load("ann", session_id)
    await process.transitions.save("ann", session_id, "here")
    await take(process, START, 5)
    after = await process.sessions.load("ann", session_id)
    assert after.body.secret != before.body.secret
    assert after.view().checkpoints == []
    assert (await store.count()).num_live == 1
    assert await store.load([f"{session_id}~here~{before.record.step}"]) == [None]


async def test_a_sequence_goes_on_and_restarts_on_another_worker() -> None:
    async with two_processes() as (_, one, other):
        assert is_after(await take(one, START, 5), 5)
        assert is_after(await take(other, PART, 1), 6)
        assert is_after(await take(one, PART, 1), 7)
        assert is_after(await take(other, START, 2), 2)
        assert is_after(await take(one, PART, 1), 3)
        await take(other, END, 1)
        with pytest.raises(SessionGone):
            await take(one, PART, 1)


async def test_a_start_takes_the_place_of_a_step_in_flight(process: Process) -> None:
    started = (await take(process, START, 5)).answer
    late = process.begin(started.session_id, "wait", started.step)
    await until(lambda: process.model.num_waiting == 1)
    other = process.sequences
    assert is_after(await other.part("ann", process.model, START, np.array([2]), ["logits"]), 2)
    process.model.go.set()
    with pytest.raises(SessionGone, match="begun anew"):
        await late.result()
    assert is_after(await take(process, PART, 1), 3)


class Held:
    """Holds one write of a record back, until it is let go.

    Args:
        store: Whose writes.
        is_meant: Whether it is this one.
    """

    def __init__(self, store: FaultyStore, is_meant: Callable[[Swap], bool]) -> None:
        self.has_come, self._let_go = asyncio.Event(), asyncio.Event()
        self._swap, self._is_meant = store.swap, is_meant
        store.swap = self._held  # type: ignore[method-assign]

    async def _held(self, swaps: Sequence[Swap]) -> list[bool]:
        if not self.has_come.is_set() and any(map(self._is_meant, swaps)):
            self.has_come.set()
            await self._let_go.wait()
        return await self._swap(swaps)

    def let_go(self) -> None:
        """Write it."""
        self._let_go.set()


async def test_a_part_in_flight_is_not_taken_by_a_sequence_that_is_started_meanwhile() -> None:
    async with two_processes() as (store, one, other):
        await take(one, START, 1)
        held = Held(store, lambda swap: not swap.record.ended)
        late = asyncio.ensure_future(take(one, PART, 60))
        await held.has_come.wait()
        await take(other, START, 5)
        held.let_go()
        with pytest.raises(SessionGone, match="begun anew"):
            await late
        assert is_after(await take(other, PART, 1), 6)


async def test_a_part_of_an_ended_sequence_finds_no_place_in_any_later_one() -> None:
    async with two_processes(max_sessions=1) as (store, one, other):
        for part in (START, PART, PART):
            await take(one, part, 1)
        held = Held(store, lambda swap: not swap.record.ended)
        late = asyncio.ensure_future(take(one, PART, 60))
        await held.has_come.wait()
        await take(other, END, 1)
        await take(other, START, 7)
        for _ in range(4):
            await take(other, PART, 1)
        held.let_go()
        with pytest.raises(SessionGone):
            await late
        assert is_after(await take(other, PART, 1), 12)


async def test_an_end_in_flight_does_not_end_a_sequence_that_is_started_meanwhile() -> None:
    async with two_processes() as (store, one, other):
        await take(one, START, 1)
        held = Held(store, lambda swap: swap.record.ended == "ended")
        ending = asyncio.ensure_future(take(one, END, 2))
        await held.has_come.wait()
        await take(other, START, 5)
        held.let_go()
        await ending
        assert is_after(await take(other, PART, 1), 6)


async def test_parts_that_wait_are_not_read_by_the_sequence_that_is_started_behind_them() -> None:
    async with two_processes() as (_, one, _):
        session_id = (await take(one, START, 1)).answer.session_id
        blocking = one.begin(session_id, "wait")
        await until(lambda: one.model.num_waiting == 1)
        parts = [asyncio.ensure_future(take(one, PART, ids)) for ids in (10, 20)]
        await settle()
        await take(one, START, 5)
        one.model.go.set()
        results = await asyncio.gather(*parts, return_exceptions=True)
        assert [type(result) for result in results] == [SessionGone, SessionGone]
        with pytest.raises(SessionGone):
            await blocking.result()
        assert is_after(await take(one, PART, 1), 6)


async def test_a_start_that_is_refused_changes_nothing(process: Process, store: FaultyStore) -> None:
    await take(process, START, 1)
    with pytest.raises(RuntimeError):
        await take(process, START, BAD)
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        await take(process, START, 5)
    store.is_down = False
    assert is_after(await take(process, PART, 1), 2)


@pytest.mark.parametrize("fails", ["swap", "lost answer"])
async def test_a_start_that_fails_after_an_end_forgets_neither(
    process: Process, store: FaultyStore, fails: str
) -> None:
    for part in (START, END):
        await take(process, part, 1)
    swap = store.swap

    async def fail(swaps: Sequence[Swap]) -> list[bool]:
        if fails == "lost answer":
            await swap(swaps)
        raise Unavailable("by a test")

    store.swap = fail  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await take(process, START, 5)
    store.swap = swap  # type: ignore[method-assign]
    if fails == "swap":
        with pytest.raises(SessionGone, match="over: ended"):
            await take(process, PART, 1)
    else:
        assert is_after(await take(process, PART, 1), 6)
    assert is_after(await take(process, START, 7), 7)


async def test_of_two_workers_that_start_the_same_sequence_each_is_answered_of_its_own_or_refused() -> None:
    async with two_processes() as (_, one, other):
        starts = [take(process, START, ids) for process, ids in ((one, 5), (other, 7)) for _ in range(3)]
        results = await asyncio.gather(*starts, return_exceptions=True)
        totals = [5, 5, 5, 7, 7, 7]
        for taken, total in zip(results, totals, strict=True):
            assert isinstance(taken, StepConflict) or (isinstance(taken, Taken) and is_after(taken, total))
        assert any(isinstance(taken, Taken) for taken in results)


async def test_a_damaged_sequence_is_refused_until_it_is_started_anew(process: Process, store: FaultyStore) -> None:
    session_id = (await take(process, START, 5)).answer.session_id
    store.damaged.add(session_id)
    with pytest.raises(Exception, match="is damaged"):
        await take(process, PART, 1)
    deleted: list[str] = []
    delete = store.delete

    async def repair(session_ids: list[str]) -> None:
        deleted.extend(session_ids)
        store.damaged.difference_update(session_ids)
        await delete(session_ids)

    store.delete = repair  # type: ignore[method-assign,assignment]
    assert is_after(await take(process, START, 2), 2)
    assert deleted == [session_id]


async def test_a_start_needs_room_as_any_new_session_also_where_one_had_ended() -> None:
    store, clock = FaultyStore(Limits(max_sessions=1)), Clock()
    async with Process(store, clock) as process:
        await take(process, START, 1)
        await take(process, END, 1)
        held = await process.create("bob")
        busy = process.begin(held, "wait")
        busy.turn.ask = busy.turn.ask._replace(owner="bob")
        await until(lambda: process.model.num_waiting == 1)
        with pytest.raises(StoreFull):
            await take(process, START, 1)
        process.model.go.set()
        await busy.result()
        assert (await store.count()).num_live == 1


async def test_a_sequence_stays_on_its_version_until_it_is_started_anew(store: FaultyStore) -> None:
    async with Process(store, versions=("1", "0")) as process:
        assert (await take(process, START, 5)).version == "0"
        process.catalog.make_current("sum:1")
        assert (await take(process, PART, 1)).version == "0"
        assert (await take(process, START, 1)).version == "1"


async def test_ids_are_an_owners_a_models_and_of_one_kind(process: Process) -> None:
    await take(process, START, 1)
    for part, owner in ((PART, "bob"), (SequencePart("s", "sum:0"), "ann"), (SequencePart("s ", "sum"), "ann")):
        with pytest.raises(SequenceUnknown):
            await take(process, part, 1, owner=owner)
    keys = {SequencePart(sequence_id, "sum").key for sequence_id in (1, "1", "text 1", "number 1")}
    assert len(keys) == 4
    assert all(" " in key for key in keys)  # which no Idempotency-Key has


async def test_a_sequence_goes_on_while_the_notes_cannot_be_read(process: Process, store: FaultyStore) -> None:
    await take(process, START, 1)
    store.are_notes_down = True
    assert is_after(await take(process, PART, 2), 3)
    assert is_after(await take(process, END, 3), 6)
    with pytest.raises(SessionGone):
        await take(process, PART, 1)
    with pytest.raises(StoreUnavailable):
        await take(process, START, 1)


async def test_a_sequence_that_another_worker_begins_after_a_loss_of_data_goes_on_everywhere() -> None:
    async with two_processes() as (store, one, newer):
        await take(one, START, 1)
        await store.lose_all()
        assert is_after(await take(newer, START, 5), 5)
        assert is_after(await take(one, PART, 2), 7)
