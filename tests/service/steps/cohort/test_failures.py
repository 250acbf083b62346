"""Sessions that step together when something goes wrong for one of them or for all."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from service.errors import (
    DeadlineExceeded,
    InvalidInput,
    QueueFull,
    ServiceError,
    ShuttingDown,
    StoreUnavailable,
)
from service.steps.session_cache import CachedSession
from service.steps.turn import Answer, Ask, Turn
from service.stores.base import SwapGroup
from tests.fakes.process import Pending, Process, outputs, settle
from tests.fakes.stores import FaultyStore
from tests.service.steps.cohort.together import NUM, ask, begun, known, taken, told, widths

pytestmark = pytest.mark.anyio


def broken(*_: object) -> None:
    raise ZeroDivisionError("a mistake of ours")


@pytest.mark.parametrize("refusal", [InvalidInput("not for many"), ZeroDivisionError("a mistake of ours")])
async def test_what_goes_wrong_for_all_together_is_logged_unless_it_is_a_refusal(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refusal: Exception
) -> None:
    def check(values: np.ndarray) -> None:
        if len(values) > 1:
            raise refusal

    ids = await known(process)
    monkeypatch.setattr(process.model, "check_tensors", check)
    assert [answer.step for answer in await taken(process, [ask(each, 5) for each in ids])] == [2] * NUM
    assert caplog.messages == (
        [] if isinstance(refusal, ServiceError) else [f"{NUM} steps could not start together; taking them one by one"]
    )


async def test_steps_whose_engine_stumbles_over_their_job_are_taken_once(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, pump = await known(process), process.model.engine._pump

    def stumble() -> None:
        monkeypatch.setattr(process.model.engine, "_pump", pump)
        raise MemoryError("of ours")

    monkeypatch.setattr(process.model.engine, "_pump", stumble)
    assert [answer.step for answer in await taken(process, [ask(each, 5) for each in ids])] == [2] * NUM
    assert process.model.engine.is_idle
    assert sum(rows for _, _, rows in process.graphs["0"].runs) == 2 * NUM
    assert [await process.count(each) for each in ids] == [6] * NUM


async def test_inputs_that_cannot_be_read_are_logged_unless_they_are_refused(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ids = await known(process)
    asks = [Ask("ann", each, inputs={"ids": [3]}, returns="none") for each in ids]
    asks[3] = asks[3]._replace(inputs={"ids": "three"})
    assert [type(answer) for answer in await told(process, asks)].count(InvalidInput) == 1
    assert caplog.messages == []
    monkeypatch.setattr(process.model, "read_tensors", broken)
    assert {type(answer) for answer in await told(process, asks)} == {ZeroDivisionError}
    assert "a step's inputs could not be read" in caplog.messages


async def test_records_that_cannot_be_looked_at_are_logged(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Process(store) as process:
        ids = await known(process)
        with monkeypatch.context() as patched:
            patched.setattr("service.steps.step_rules.decode", broken)
            assert {type(answer) for answer in await told(process, [ask(each, 1) for each in ids])} == {
                ZeroDivisionError
            }
        assert len([message for message in caplog.messages if "could not be examined" in message]) == NUM
        assert [answer.step for answer in await taken(process, [ask(each, 1) for each in ids])] == [2] * NUM


async def gated(process: Process, asks: Sequence[Ask]) -> list[Pending]:
    """Steps that have begun together and whose run waits."""
    process.graphs["0"].gate.clear()
    pending = begun(process, asks)
    await settle()
    return pending


@pytest.mark.usefixtures("in_thread")
async def test_those_called_off_commit_nothing_and_the_others_are_answered(
    process: Process, store: FaultyStore
) -> None:
    ids = await known(process)
    pending = await gated(process, [ask(each, 5, step=1) for each in ids])
    for each in pending[:3]:
        process.steps.call_off(each.turn)
    behind = begun(process, [ask(ids[0], 7, step=1)])[0]
    process.graphs["0"].gate.set()
    assert [(await each.result()).step for each in pending[3:]] == [2] * (NUM - 3)
    assert (await behind.result()).step == 2
    for each in pending[:3]:
        with pytest.raises(DeadlineExceeded):
            await each.result()
    assert widths(store) == [NUM - 3]
    assert [await process.count(each) for each in ids] == [8, 1, 1, *[6] * (NUM - 3)]
    assert {each.num_told for each in pending} == {1}
    assert [answer.step for answer in await taken(process, [ask(each, 1) for each in ids[:3]])] == [3, 2, 2]


@pytest.mark.usefixtures("in_thread")
async def test_a_run_that_nobody_waits_for_any_more_is_forgotten(process: Process) -> None:
    ids = await known(process)
    pending = await gated(process, [ask(each, 5) for each in ids])
    for each in pending:
        process.steps.call_off(each.turn)
    process.graphs["0"].gate.set()
    await taken(process, [ask(each, 1, step=1) for each in ids])
    assert [await process.count(each) for each in ids] == [2] * NUM


@pytest.mark.usefixtures("in_thread")
async def test_steps_that_take_too_long_commit_nothing(store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=0.2, max_cached_sessions=100) as process:
        ids = await known(process)
        pending = await gated(process, [ask(each, 5) for each in ids])
        for each in pending:
            with pytest.raises(DeadlineExceeded, match="nothing was committed"):
                await each.result()
        process.graphs["0"].gate.set()
        await taken(process, [ask(each, 1, step=1) for each in ids])
        assert [await process.count(each) for each in ids] == [2] * NUM


async def test_what_is_committed_cannot_be_called_off_by_who_is_told_first(process: Process) -> None:
    ids = await known(process)
    pending = [Pending() for _ in ids]

    def call_off_the_others(turn: Turn) -> None:
        pending[0].done(turn)
        for each in pending[1:]:
            process.steps.call_off(each.turn)

    for n, (each, session_id) in enumerate(zip(pending, ids, strict=True)):
        each.turn = Turn(ask(session_id, 5), each.done if n else call_off_the_others)
        process.steps.submit(each.turn)
    assert [(await each.result()).step for each in pending] == [2] * NUM
    assert {each.num_told for each in pending} == {1}


async def test_an_owner_that_stumbles_keeps_nobody_from_their_answer(process: Process) -> None:
    def stumble(_: Turn) -> None:
        raise ValueError("the owner's own fault")

    ids = await known(process)
    pending = begun(process, [ask(each, 1) for each in ids[1:]])
    process.steps.submit(Turn(ask(ids[0], 1), stumble))
    assert [(await each.result()).step for each in pending] == [2] * (NUM - 1)


async def drained(process: Process) -> None:
    """Nothing is under way any more."""
    async with asyncio.timeout(5):
        await process.steps.drain()


async def test_a_step_that_is_committed_but_cannot_be_told_keeps_nobody_waiting(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def advance(session: CachedSession, *parts: object) -> None:
        if session.record.session_id == ids[3]:
            raise ZeroDivisionError("a mistake of ours")
        advance_others(session, *parts)

    ids, advance_others = await known(process), CachedSession.advance
    with monkeypatch.context() as patched:
        patched.setattr(CachedSession, "advance", advance)
        answers = await told(process, [ask(each, 5, step=1) for each in ids])
    assert [n for n, answer in enumerate(answers) if isinstance(answer, ZeroDivisionError)] == [3]
    assert [answer.step for answer in answers if isinstance(answer, Answer)] == [2] * (NUM - 1)
    assert [answer.step for answer in await taken(process, [ask(each, 5, step=1) for each in ids])] == [2] * NUM
    assert [await process.count(each) for each in ids] == [6] * NUM
    await drained(process)


async def test_a_store_that_answers_for_too_few_keeps_nobody_waiting(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_too_few(groups: Sequence[SwapGroup]) -> list[list[bool]]:
        return [won[1:] for won in await advance(groups)]

    ids, advance = await known(process), store.advance
    monkeypatch.setattr(store, "advance", for_too_few)
    answers = await told(process, [ask(each, 5, step=1) for each in ids])
    assert [type(answer) for answer in answers] == [Answer] * (NUM - 1) + [ValueError]
    await drained(process)


@pytest.mark.usefixtures("in_thread")
async def test_a_drain_waits_for_those_under_way(process: Process) -> None:
    ids = await known(process)
    pending = await gated(process, [ask(each, 5) for each in ids])
    draining = asyncio.create_task(process.steps.drain())
    await settle()
    assert not draining.done()
    late = await told(process, [ask(ids[0], 1)])
    assert isinstance(late[0], ShuttingDown)
    process.graphs["0"].gate.set()
    await draining
    assert [(await each.result()).step for each in pending] == [2] * NUM


@pytest.mark.usefixtures("in_thread")
async def test_an_engine_that_stops_refuses_each(process: Process) -> None:
    ids = await known(process)
    pending = await gated(process, [ask(each, 5, 5) for each in ids])
    stopping = asyncio.create_task(process.catalog.stop())
    await settle()
    process.graphs["0"].gate.set()
    await stopping
    for each in pending:
        with pytest.raises(ShuttingDown):
            await each.result()
    assert process.steps.is_idle


@pytest.mark.usefixtures("in_thread")
async def test_where_the_queue_has_no_room_for_all_some_are_answered(store: FaultyStore) -> None:
    async with Process(store, max_queue_rows=NUM, max_cached_sessions=100) as process:
        ids, more = await known(process), await known(process)
        pending = await gated(process, [ask(each, 1) for each in more[:4]])
        loads = len(store.loads)
        answers = asyncio.create_task(told(process, [ask(each, 5) for each in ids]))
        await settle()
        process.graphs["0"].gate.set()
        kinds = [type(answer) for answer in await answers]
        assert (kinds.count(Answer), kinds.count(QueueFull)) == (NUM - 4, 4)
        assert len(store.loads) == loads
        assert len([await each.result() for each in pending]) == 4
        assert [answer.step - 2 for answer in await taken(process, [ask(each, 1) for each in ids])] == [
            int(kind is Answer) for kind in kinds
        ]


async def test_a_store_that_is_down_refuses_each_and_the_sessions_go_on(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    store.is_down = True
    refused = await told(process, [ask(each, 5, step=1) for each in ids])
    assert {type(answer) for answer in refused} == {StoreUnavailable}
    store.is_down = False
    assert [answer.step for answer in await taken(process, [ask(each, 5, step=1) for each in ids])] == [2] * NUM
    assert [await process.count(each) for each in ids] == [6] * NUM


async def test_steps_whose_commit_was_not_confirmed_are_not_taken_twice(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    store.loses_answers = True
    refused = await told(process, [ask(each, 5, step=1) for each in ids])
    assert {type(answer) for answer in refused} == {StoreUnavailable}
    store.loses_answers = False
    again = await taken(process, [ask(each, 5, step=1) for each in ids])
    assert [(answer.step, outputs(answer)) for answer in again] == [(2, {"argmax": [4]})] * NUM
    assert [await process.count(each) for each in ids] == [6] * NUM
