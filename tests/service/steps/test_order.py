"""Steps of one session, one after the other."""

import asyncio

import pytest

from service.errors import StepConflict, TooBusy
from service.steps.open_turns import MAX_WAITING_PER_SESSION
from service.steps.turn import Answer, Ask, Turn
from tests.fakes.process import Process, outputs, settle
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def test_unnamed_steps_are_taken_in_the_order_in_which_they_came(process: Process) -> None:
    session_id = await process.create()
    answers = await asyncio.gather(*(process.text(session_id, "ab") for _ in range(5)))
    assert [(answer.step, outputs(answer)["count"]) for answer in answers] == [(n, 2 * n) for n in range(1, 6)]


async def test_pipelined_steps_keep_their_order_whatever_form_they_have(process: Process) -> None:
    session_id = await process.create()
    told: list[int] = []
    asks: list[dict[str, object]] = [{"text": "ab"}, {"ids": [5] * 6}, {"text": "c"}, {"ids": [1]}]
    answers = [
        asyncio.create_task(process.steps.take(Ask("ann", session_id, step, inputs)))
        for step, inputs in enumerate(asks)
    ]
    for step, answer in enumerate(answers):
        answer.add_done_callback(lambda _, step=step: told.append(step))
    assert [answer.step for answer in await asyncio.gather(*answers)] == [1, 2, 3, 4]
    assert told == [0, 1, 2, 3]
    assert await process.count(session_id) == 2 + 30 + 1 + 1


async def test_a_refused_step_lets_the_next_one_begin(process: Process) -> None:
    session_id = await process.create()
    steps = (process.text(session_id, text, step) for text, step in [("ab", 0), ("ab", 7), ("fail", 1), ("abc", 1)])
    first, conflict, failure, last = await asyncio.gather(*steps, return_exceptions=True)
    assert isinstance(first, Answer)
    assert isinstance(conflict, StepConflict)
    assert isinstance(failure, RuntimeError)
    assert isinstance(last, Answer)
    assert (last.step, outputs(last)["count"]) == (2, 5)


async def test_one_session_keeps_no_other_waiting(process: Process) -> None:
    slow, quick = await process.create(), await process.create()
    waiting = asyncio.create_task(process.text(slow, "wait"))
    await settle()
    assert (await process.text(quick, "a")).step == 1
    process.model.go.set()
    assert (await waiting).step == 1


async def test_too_many_steps_of_one_session_are_refused_at_once(process: Process) -> None:
    session_id, other = await process.create(), await process.create()
    running = asyncio.create_task(process.text(session_id, "wait"))
    await settle()
    waiting = [asyncio.create_task(process.text(session_id, "a")) for _ in range(MAX_WAITING_PER_SESSION)]
    await settle()
    with pytest.raises(TooBusy):
        await process.text(session_id, "a")
    assert (await process.text(other, "a")).step == 1
    process.model.go.set()
    assert [answer.step for answer in await asyncio.gather(running, *waiting)] == list(range(1, 258))
    assert (await process.text(session_id, "a")).step == 258


async def test_nothing_is_left_of_steps_that_are_over(process: Process) -> None:
    session_id = await process.create()
    await asyncio.gather(*(process.text(session_id, text) for text in ("a", "fail", "b")), return_exceptions=True)
    assert process.steps.is_idle
    assert not process.steps.is_under_way(session_id)


async def test_a_session_is_under_way_from_its_first_step_to_its_last(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    store.may_swap.clear()
    first = process.begin(session_id, "a")
    second = process.begin(session_id, "b")
    await settle()
    assert process.steps.is_under_way(session_id)
    store.may_swap.set()
    await first.result()
    assert process.steps.is_under_way(session_id)
    await second.result()
    assert not process.steps.is_under_way(session_id)


async def test_an_owner_that_stumbles_keeps_no_other_turn_from_its_answer(process: Process) -> None:
    ids = [await process.create() for _ in range(3)]

    def stumble(_: Turn) -> None:
        raise ValueError("the owner's own fault")

    clumsy = Turn(Ask("ann", ids[0], inputs={"ids": [1]}), stumble)
    process.steps.submit(clumsy)
    answers = await asyncio.gather(*(process.ids(session_id, 1) for session_id in ids))
    assert [answer.step for answer in answers] == [2, 1, 1]
