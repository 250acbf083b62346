"""Steps of one session in two processes: one wins, and nothing is lost or done twice."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service.errors import DeadlineExceeded, InvalidInput, SessionGone, StepConflict
from service.record.sequence_state import SequenceState
from service.steps.step_rules import MAX_ATTEMPTS
from service.steps.turn import Answer
from service.stores.base import Swap
from tests.fakes.clock import Clock
from tests.fakes.model import TextStep, total_of
from tests.fakes.process import Process, outputs, settle, two_processes, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def race(one: Process, other: Process, texts: tuple[str, str], step: int | None) -> list[Answer | BaseException]:
    """Take one step in both processes, both of which have loaded the session before either commits."""
    session_id = await one.create()
    steps = [process.text(session_id, text, step) for process, text in zip((one, other), texts, strict=True)]
    return await asyncio.gather(*steps, return_exceptions=True)


async def test_what_is_refused_by_a_session_as_it_stood_is_asked_again_of_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_processes(max_recent=100) as (_, one, other):
        session_id = await one.create()
        await one.text(session_id, "ab")  # which this process keeps at hand
        await other.text(session_id, "c")
        step, seen = one.model.step, []

        async def refuse(state: SequenceState, inputs: TextStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
            seen.append(total_of(state.row))
            if total_of(state.row) == 2 or inputs.text == "no":
                raise InvalidInput("not after two")
            return await step(state, inputs, seed)

        monkeypatch.setattr(one.model, "step", refuse)
        assert outputs(await one.text(session_id, "d"))["count"] == 4
        assert seen == [2, 3]
        with pytest.raises(InvalidInput):
            await one.text(session_id, "no")
        assert seen == [2, 3, 4, 4]
        with pytest.raises(InvalidInput):
            await one.text(session_id, "no")
        assert seen == [2, 3, 4, 4, 4]
        assert one.steps.is_idle


async def test_the_loser_with_the_same_input_gets_the_winners_answer() -> None:
    async with two_processes() as (_, one, other):
        first, second = await race(one, other, ("ab", "ab"), 0)
        assert isinstance(first, Answer)
        assert first == second
        assert one.model.num_computed == other.model.num_computed == 1
        assert await one.count(first.session_id) == 2


async def test_the_loser_with_another_input_is_told_of_the_conflict() -> None:
    async with two_processes() as (_, one, other):
        answers = await race(one, other, ("ab", "xyz"), 0)
        (conflict,) = (answer for answer in answers if isinstance(answer, StepConflict))
        (won,) = (answer for answer in answers if isinstance(answer, Answer))
        assert conflict.expected_step == won.step == 1
        assert await one.count(won.session_id) == outputs(won)["count"]


async def test_a_step_without_a_number_is_taken_again_on_the_winners_state() -> None:
    async with two_processes() as (_, one, other):
        answers = await race(one, other, ("ab", "xyz"), None)
        told = [(answer.step, outputs(answer)["count"]) for answer in answers if isinstance(answer, Answer)]
        assert sorted(told) in ([(1, 2), (2, 5)], [(1, 3), (2, 5)])


async def test_the_loser_with_the_same_large_input_computes_the_winners_answer_again() -> None:
    async with two_processes() as (_, one, other):
        first, second = await race(one, other, ("long", "long"), 0)
        assert isinstance(first, Answer)
        assert first == second
        assert one.model.num_computed + other.model.num_computed == 3


async def test_racing_tensors_leave_the_sum_of_both() -> None:
    async with two_processes() as (_, one, other):
        session_id = await one.create()
        answers = await asyncio.gather(*(process.ids(session_id, n) for process in (one, other) for n in (2, 3)))
        assert sorted(answer.step for answer in answers) == [1, 2, 3, 4]
        assert await one.count(session_id) == 10


async def test_other_sessions_of_the_same_commit_do_not_lose(store: FaultyStore) -> None:
    async with Process(store, Clock()) as process:
        lost, kept = await process.create(), await process.create()
        store.may_swap.clear()
        steps = [asyncio.create_task(process.ids(session_id, 1, step=0)) for session_id in (lost, kept)]
        await until(lambda: len(store.swaps[-1]) == 2)
        await store.change(lost, step=5)
        store.may_swap.set()
        refused, answered = await asyncio.gather(*steps, return_exceptions=True)
        assert isinstance(refused, StepConflict)
        assert refused.expected_step == 5
        assert isinstance(answered, Answer)


class RivalStore(FaultyStore):
    """A store in which another writer is always quicker."""

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        for record, expected_step, _ in swaps:
            if expected_step is not None:
                await self.change(record.session_id, step=expected_step + 1)
        return await super().swap(swaps)


async def test_who_loses_again_and_again_is_told_of_a_conflict() -> None:
    store = RivalStore()
    async with Process(store) as process:
        session_id = await process.create()
        store.swaps.clear()
        with pytest.raises(StepConflict) as refused:
            await process.text(session_id, "a")
    assert len(store.swaps) == MAX_ATTEMPTS
    assert refused.value.expected_step == MAX_ATTEMPTS


async def test_a_session_that_ends_during_a_step_stays_ended() -> None:
    async with two_processes() as (_, stepping, ending):
        session_id = await stepping.create()
        step = stepping.begin(session_id, "wait", 0)
        await settle()
        await ending.sessions.end("ann", session_id)
        stepping.model.go.set()
        for attempt in (step.result(), stepping.text(session_id, "wait", 0)):
            with pytest.raises(SessionGone) as refused:
                await attempt
            assert refused.value.reason == "ended"


async def test_a_loser_that_is_late_is_not_tried_again(store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=10) as process:
        session_id = await process.create()
        store.may_swap.clear()
        step = process.begin(session_id, "a")
        await until(lambda: store.num_held == 1)
        await store.change(session_id, step=1)
        step.turn.started -= 10
        store.may_swap.set()
        with pytest.raises(DeadlineExceeded):
            await step.result()
        assert (await store.stored(session_id)).step == 1


async def test_a_loser_can_be_called_off_while_it_tries_again(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    store.may_swap.clear()
    step = process.begin(session_id, "ab")
    await until(lambda: store.num_held == 1)
    await store.change(session_id, step=1)
    store.may_load.clear()
    store.may_swap.set()
    await until(lambda: not step.turn.is_committing)
    process.steps.call_off(step.turn)
    with pytest.raises(DeadlineExceeded, match="called off"):
        await step.result()
    store.may_load.set()
    await settle()
    assert (await store.stored(session_id)).step == 1
    assert await process.count(session_id) == 0
