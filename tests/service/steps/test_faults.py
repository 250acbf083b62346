"""Steps that are late, called off, or meet a store that fails."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from service.engine.run_policy import RunPolicy
from service.errors import DeadlineExceeded, SessionDamaged, ShuttingDown, StepConflict, StoreUnavailable
from service.record.body import encode
from service.record.sequence_state import SequenceState
from service.steps.turn import Answer, Ask, Turn
from service.stores.base import Swap
from tests.fakes.body_v1 import SessionBodyV1, StateV1, encode_v1
from tests.fakes.graphs import LAYOUT
from tests.fakes.process import Process, outputs, settle, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def test_a_step_that_takes_too_long_commits_nothing_and_the_session_goes_on(store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=1) as process:
        session_id, other = await process.create(), await process.create()
        late = process.begin(session_id, "wait", 0)
        behind = process.begin(session_id, "a", 0)
        for step in (late, behind):
            with pytest.raises(DeadlineExceeded, match="nothing was committed"):
                await step.result()
        process.model.go.set()
        await settle()
        assert (await process.text(session_id, "abc", 0)).step == 1
        assert (await process.text(other, "a", 0)).step == 1
        assert (late.num_told, behind.num_told) == (1, 1)


async def test_a_later_step_has_its_own_deadline(store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=0.2) as process:
        for _ in range(2):
            session_id = await process.create()
            with pytest.raises(DeadlineExceeded):
                await process.text(session_id, "wait")
        assert process.steps.is_idle


async def test_a_step_whose_commit_is_under_way_is_not_given_up(store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=10) as process:
        session_id, other = await process.create(), await process.create()
        store.may_swap.clear()
        step = process.begin(session_id, "ab", 0)
        await until(lambda: step.turn.is_committing)
        step.turn.started -= 10
        with pytest.raises(DeadlineExceeded):  # of all that are late by now
            await process.steps.take(Ask("ann", other, None, {"text": "wait"}), time.perf_counter() - 10)
        assert not step.turn.is_over
        store.may_swap.set()
        assert outputs(await step.result())["count"] == 2


async def test_a_step_that_is_called_off_commits_nothing(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    num_swaps = len(store.swaps)
    step = process.begin(session_id, "wait", 0)
    await settle()
    assert process.model.num_waiting == 1
    process.steps.call_off(step.turn)
    await settle()
    assert process.model.num_waiting == 0
    process.model.go.set()
    await settle()
    assert len(store.swaps) == num_swaps
    assert step.num_told == 1
    assert (await process.text(session_id, "abc", 0)).step == 1


@pytest.mark.parametrize("num_turns", range(8))
async def test_a_step_that_is_called_off_at_any_moment_is_taken_wholly_or_not_at_all(
    process: Process, num_turns: int
) -> None:
    session_id = await process.create()
    step = asyncio.create_task(process.ids(session_id, 5, step=0))
    for _ in range(num_turns):
        await asyncio.sleep(0)
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    answer = await process.ids(session_id, 5, step=0)
    assert answer.step == 1
    assert await process.count(session_id) == 5


async def test_a_row_that_is_called_off_leaves_the_engine(process: Process) -> None:
    session_id, other = await process.create(), await process.create()
    graphs = process.graphs["0"]
    graphs.gate.clear()
    running = asyncio.create_task(process.ids(other, 1, 1))
    await settle()
    waiting = asyncio.create_task(process.ids(session_id, 5))
    await settle()
    waiting.cancel()
    graphs.gate.set()
    assert (await running).step == 1
    assert [rows for _, _, rows in graphs.runs] == [1, 1]


async def test_calling_off_during_the_commit_changes_nothing(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    store.may_swap.clear()
    step = process.begin(session_id, "ab", 0)
    await until(lambda: step.turn.is_committing)
    process.steps.call_off(step.turn)
    store.may_swap.set()
    assert outputs(await step.result())["count"] == 2
    assert step.num_told == 1


async def test_a_waiting_step_that_is_called_off_leaves_its_place(process: Process) -> None:
    session_id = await process.create()
    first, second, third = (process.begin(session_id, text) for text in ("wait", "ab", "abc"))
    await settle()
    process.steps.call_off(second.turn)
    process.model.go.set()
    assert outputs(await first.result())["count"] == 4
    assert outputs(await third.result())["count"] == 7


async def test_draining_refuses_new_steps_and_waits_for_those_that_were_taken(process: Process) -> None:
    session_id = await process.create()
    running, waiting = process.begin(session_id, "wait"), process.begin(session_id, "a")
    await settle()
    draining = asyncio.create_task(process.steps.drain())
    await settle()
    with pytest.raises(ShuttingDown):
        await process.text(session_id, "b")
    assert not draining.done()
    process.model.go.set()
    await draining
    assert [(await step.result()).step for step in (running, waiting)] == [1, 2]


async def test_who_hands_over_a_step_that_is_not_admitted_is_told_as_of_any_other_end(process: Process) -> None:
    session_id = await process.create()
    await process.steps.drain()
    pending = process.begin(session_id, "a")
    with pytest.raises(ShuttingDown):
        await pending.result()
    assert pending.num_told == 1


async def test_draining_what_is_idle_is_done_at_once(process: Process) -> None:
    await process.text(await process.create(), "a")
    await process.steps.drain()


@pytest.mark.parametrize("fails_at", ["load", "swap"])
async def test_a_store_that_is_down_harms_no_session(process: Process, store: FaultyStore, fails_at: str) -> None:
    ids = [await process.create() for _ in range(3)]
    await process.text(ids[0], "ab", 0)
    gate = store.may_load if fails_at == "load" else store.may_swap
    gate.clear()
    steps = [asyncio.create_task(process.text(session_id, "abc")) for session_id in ids]
    await until(lambda: store.num_held > 0)
    store.is_down = True
    gate.set()
    refusals = await asyncio.gather(*steps, return_exceptions=True)
    assert [type(refusal) for refusal in refusals] == [StoreUnavailable] * 3
    assert process.steps.is_idle
    store.is_down = False
    answers = await asyncio.gather(*(process.text(session_id, "abc") for session_id in ids))
    assert [(answer.step, outputs(answer)["count"]) for answer in answers] == [(2, 5), (1, 3), (1, 3)]


async def test_a_commit_whose_answer_was_lost_is_found_again_by_its_number(
    process: Process, store: FaultyStore
) -> None:
    session_id = await process.create()
    store.loses_answers = True
    with pytest.raises(StoreUnavailable):
        await process.text(session_id, "abc", 0)
    store.loses_answers = False
    answer = await process.text(session_id, "abc", 0)
    assert (answer.step, outputs(answer)["count"], process.model.num_computed) == (1, 3, 1)


async def test_a_step_that_is_committed_but_cannot_be_told_keeps_nobody_waiting(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Process(store, max_cached_sessions=100) as process:
        ids = [await process.create() for _ in range(3)]
        is_changed = process.steps._rules.is_changed

        def of_others(turn: Turn) -> bool:
            if turn.is_committing and turn.ask.session_id == ids[0]:
                raise ZeroDivisionError("a mistake of ours")
            return is_changed(turn)

        with monkeypatch.context() as patched:
            patched.setattr(process.steps._rules, "is_changed", of_others)
            steps = (process.text(session_id, "abc", 0) for session_id in ids)
            answers = await asyncio.gather(*steps, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ZeroDivisionError, Answer, Answer]
        answer = await process.text(ids[0], "abc", 0)
        assert (answer.step, outputs(answer)["count"], process.model.num_computed) == (1, 3, 3)
        async with asyncio.timeout(5):
            await process.steps.drain()


async def test_a_session_that_cannot_be_remembered_is_answered_and_goes_on(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Process(store, max_cached_sessions=100) as process:
        session_id = await process.create()
        with monkeypatch.context() as patched:
            patched.setattr(process.steps._cache, "put", None)
            await process.text(session_id, "ab", 0)
        answer = await process.text(session_id, "c", 1)
    assert (answer.step, outputs(answer)["count"]) == (2, 3)
    assert caplog.messages == [f"what follows the answer to a step of session {session_id} of owner ann failed"]


async def test_a_store_that_answers_for_too_few_keeps_nobody_waiting(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_too_few(swaps: Sequence[Swap]) -> list[bool]:
        return (await swap(swaps))[1:]

    session_id, swap = await process.create(), store.swap
    monkeypatch.setattr(store, "swap", for_too_few)
    with pytest.raises(ValueError, match="shorter"):
        await process.text(session_id, "abc", 0)
    async with asyncio.timeout(5):
        await process.steps.drain()


@pytest.mark.parametrize("mistake", [StepConflict("of ours", 7), ZeroDivisionError("of ours")])
async def test_a_step_that_cannot_begin_on_what_is_at_hand_begins_on_what_is_stored(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mistake: Exception
) -> None:
    def load_cached(*_: object) -> None:
        raise mistake

    async with Process(store, max_cached_sessions=100) as process:
        session_id = await process.create()
        await process.text(session_id, "ab")
        monkeypatch.setattr(process.steps._rules, "load_cached", load_cached)
        assert outputs(await process.text(session_id, "c"))["count"] == 3
    told = ["a step could not start from the cached session; loading it from the store"]
    assert caplog.messages == ([] if isinstance(mistake, StepConflict) else told)


@pytest.mark.parametrize("body", [b"", b"\x09unknown", b"URSX"])
async def test_a_damaged_record_is_an_error_of_that_session_only(
    process: Process, store: FaultyStore, body: bytes
) -> None:
    damaged, unreadable, sound = [await process.create() for _ in range(3)]
    store.damaged.add(damaged)
    await store.change(unreadable, body=body)
    steps = (process.text(session_id, "a") for session_id in (damaged, unreadable, sound))
    answers = await asyncio.gather(*steps, return_exceptions=True)
    assert [type(answer) for answer in answers] == [SessionDamaged, SessionDamaged, Answer]


async def test_a_session_of_version_1_goes_on_and_repeats_its_last_step(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    answer = await process.text(session_id, "abc", 0)
    body = (await process.sessions.load("ann", session_id)).body
    row = {name: LAYOUT.tensor(body.state.row, name) for name in ("total", "trace")}
    old = SessionBodyV1(
        "sum", "sum:0", 10, body.secret.hex(), StateV1((row,), ("",), b"", 3), body.digest.hex(), body.answer
    )
    await store.change(session_id, body=encode_v1(old))
    assert await process.text(session_id, "abc", 0) == answer
    assert outputs(await process.text(session_id, "d", 1))["count"] == 4
    loaded = await process.sessions.load("ann", session_id)
    assert loaded.body.created_at == process.clock.now
    assert encode(loaded.body) == loaded.record.body


@pytest.mark.parametrize("mistake_in", ["outputs_of", "submit", "_pump"])
async def test_a_step_whose_result_cannot_be_used_is_refused_at_once(
    process: Process, monkeypatch: pytest.MonkeyPatch, mistake_in: str
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError("of ours")

    ids = [await process.create() for _ in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(process.model.engine, mistake_in, no_memory)
        steps = (process.ids(session_id, 1, 2, step=0, returns="logits") for session_id in ids)
        answers = await asyncio.gather(*steps, return_exceptions=True)
    assert [type(answer) for answer in answers] == [MemoryError, MemoryError]
    assert process.steps.is_idle
    assert process.model.engine.is_idle
    assert [(await process.ids(session_id, 1, 2, step=0)).step for session_id in ids] == [1, 1]


async def test_a_step_that_has_run_when_its_engine_stumbles_is_answered(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump = process.model.engine._pump

    def stumble() -> None:
        pump()
        raise MemoryError("of ours")

    ids = [await process.create() for _ in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(RunPolicy, "runs_inline", lambda *_, **__: True)
        patched.setattr(process.model.engine, "_pump", stumble)
        answers = await asyncio.gather(*(process.ids(session_id, 1, step=0) for session_id in ids))
    assert [answer.step for answer in answers] == [1, 1]
    assert process.model.engine.is_idle


@pytest.mark.parametrize(("part", "mistake_in"), [("_commits", "add"), ("_cohorts", "start"), ("_rules", "next_body")])
async def test_a_step_that_meets_a_mistake_of_ours_is_refused_at_once(
    process: Process, monkeypatch: pytest.MonkeyPatch, part: str, mistake_in: str
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError("of ours")

    session_id = await process.create()
    with monkeypatch.context() as patched:
        patched.setattr(getattr(process.steps, part), mistake_in, no_memory)
        async with asyncio.timeout(5):
            for step in (process.text(session_id, "a", 0), process.ids(session_id, 1, step=0)):
                with pytest.raises(MemoryError):
                    await step
    assert process.steps.is_idle
    assert (await process.text(session_id, "a", 0)).step == 1


async def test_a_step_whose_next_record_cannot_be_made_fails_alone(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await process.create(keep_inputs=True) for _ in range(3)]
    advancing = process.model.advancing

    def of_others(inputs: dict[str, Any]) -> dict[str, Any]:
        return advancing(inputs) if inputs["text"] != "b" else {}["of ours"]

    monkeypatch.setattr(process.model, "advancing", of_others)
    steps = (process.text(session_id, text, 0) for session_id, text in zip(ids, "abc", strict=True))
    answers = await asyncio.gather(*steps, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Answer, KeyError, Answer]
    assert process.steps.is_idle


async def test_an_answer_that_cannot_be_written_as_json_refuses_its_step(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def step(state: SequenceState, *_: object) -> tuple[dict[str, object], SequenceState]:
        return {"count": object()}, state

    session_id = await process.create()
    with monkeypatch.context() as patched:
        patched.setattr(process.model, "step", step)
        with pytest.raises(TypeError):
            await process.text(session_id, "a", 0)
    assert (await process.text(session_id, "a", 0)).step == 1
