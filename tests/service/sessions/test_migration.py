"""Sessions that move to another version."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.bundle.manifest import read_bundle
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.errors import (
    DeadlineExceeded,
    NotMigratable,
    ShuttingDown,
    StepConflict,
    VersionUnknown,
)
from service.forms.sentiment import TextStep
from service.forms.sessions import ForkRequest, MigrateRequest, RollbackRequest, SessionRequest
from service.record.body import Body, encode
from service.record.digest import inputs_digest
from service.record.replay import appended, kept_steps
from service.record.sequence_state import SequenceState
from service.steps.turn import Answer, Ask
from service.stores.base import Swap
from service.tasks.forecasting import ForecastingModel
from tests.fakes.graphs import RecordingObserver, row_of
from tests.fakes.model import SumModel
from tests.fakes.process import Process, outputs
from tests.fakes.stores import FaultyStore
from tests.paths import MODELS

pytestmark = pytest.mark.anyio


async def kept(process: Process) -> str:
    """A session on version 0 that has read text and ids, and keeps them."""
    process.catalog.make_current("sum:0")
    session_id = await process.create(keep_inputs=True)
    await process.text(session_id, "ab+")
    await process.ids(session_id, 5, 7, returns="none")
    await process.text(session_id, "c")
    process.catalog.make_current("sum:1")
    return session_id


async def test_a_session_moves_by_reading_all_its_inputs_again(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        before = (await process.sessions.load("ann", session_id)).body.state
        answer = await process.transitions.migrate("ann", session_id, MigrateRequest(step=3))
        assert answer == Answer(session_id, 4, b'{"migrate":"sum:1"}')
        assert await process.transitions.migrate("ann", session_id, MigrateRequest(step=3)) == answer
        assert (await process.sessions.get("ann", session_id)).bundle == "sum:1"
        assert (await process.sessions.load("ann", session_id)).body.state == before
        assert len(process.graphs["1"].runs) > 0
        assert outputs(await process.text(session_id, "d", 4))["count"] == 17


async def test_a_move_that_is_repeated_is_told_what_it_was_told_before(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        answer = await process.transitions.migrate("ann", session_id, MigrateRequest(step=3))
        assert (await process.sessions.load("ann", session_id)).body.digest == inputs_digest({"migrate": None})
        process.catalog.make_current("sum:0")
        assert await process.transitions.migrate("ann", session_id, MigrateRequest(step=3)) == answer
        with pytest.raises(StepConflict):
            await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:1", step=3))


async def test_a_session_that_has_moved_has_the_state_that_the_new_version_came_to(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        monkeypatch.setattr(process.model, "initial_state", lambda: SequenceState((row_of(100),), ("",)))
        await process.transitions.migrate("ann", session_id, MigrateRequest())
        assert await process.count(session_id) == 116


async def test_a_session_that_has_moved_is_of_the_numerics_that_read_its_inputs_again(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"], numerics=b"others' ") as process:
        session_id = await kept(process)
    async with Process(store, process.clock, versions=["0", "1"]) as process:
        await process.transitions.migrate("ann", session_id, MigrateRequest())
        assert outputs(await process.text(session_id, "d"))["count"] == 17


async def test_inputs_that_came_as_arrays_are_kept_and_read_again(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create(keep_inputs=True)
        await process.steps.take(Ask("ann", session_id, values=np.array([5, 7]), returns="none"))
        await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        assert await process.count(session_id) == 12


class Drawing(TextStep):
    """A text, and whether its step draws."""

    generate: bool = False


async def test_a_fork_moves_by_reading_the_inputs_of_the_other_with_the_others_chance(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SumModel, "inputs_form", Drawing)
    async with Process(store, versions=["0", "1"], max_kept_input_bytes=1000) as process:
        session_id = await kept(process)
        for text in "de":
            await process.steps.take(Ask("ann", session_id, inputs={"text": text, "generate": True}))
        before = (await process.sessions.load("ann", session_id)).body.state
        fork = (await process.transfers.fork("ann", session_id, ForkRequest())).session_id
        seeds = len(process.model.seeds)
        await process.transitions.migrate("ann", session_id, MigrateRequest())
        of_the_first = process.model.seeds[seeds:]
        await process.transitions.migrate("ann", fork, MigrateRequest())
        of_the_fork = process.model.seeds[seeds + len(of_the_first) :]
        assert len(of_the_fork) == len(of_the_first)
        assert of_the_fork[-2:] == of_the_first[-2:]  # the others drew nothing
        assert (await process.sessions.load("ann", fork)).body.state == before
        assert (await process.sessions.get("ann", fork)).bundle == "sum:1"


async def test_what_was_rolled_back_is_not_read_again(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create(keep_inputs=True)
        await process.text(session_id, "ab")
        await process.transitions.save("ann", session_id, "here")
        await process.text(session_id, "cde")
        await process.transitions.roll_back("ann", session_id, RollbackRequest(checkpoint="here"))
        await process.text(session_id, "f")
        await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        assert await process.count(session_id) == 3


async def test_a_session_that_keeps_no_inputs_cannot_move(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create()
        with pytest.raises(NotMigratable, match="keep_inputs"):
            await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        outgrown = await process.create(keep_inputs=True)
        await process.text(outgrown, "x" * 200)
        with pytest.raises(NotMigratable, match="outgrew UNROLLED_MAX_KEPT_INPUT_BYTES"):
            await process.transitions.migrate("ann", outgrown, MigrateRequest(bundle="sum:1"))
        view = await process.sessions.get("ann", outgrown)
        assert (view.step, view.keep_inputs) == (1, False)


async def test_a_session_moves_to_a_version_of_its_own_bundle_only(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        with pytest.raises(NotMigratable, match="not a version of that"):
            await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="product:1"))
        with pytest.raises(VersionUnknown):
            await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:7"))
        with pytest.raises(StepConflict):
            await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:1", step=1))


async def test_inputs_that_the_version_cannot_read_keep_the_session_where_it_is(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        process.model.check_tensors = refuse  # type: ignore[method-assign]
        with pytest.raises(NotMigratable, match="cannot read"):
            await process.transitions.migrate("ann", session_id, MigrateRequest())
        assert (await process.sessions.get("ann", session_id)).bundle == "sum:0"


async def test_inputs_that_take_too_long_to_read_keep_the_session_where_it_is(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"], timeout_seconds=0.1) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create(keep_inputs=True)
        process.model.go.set()
        await process.text(session_id, "wait")
        with pytest.raises(DeadlineExceeded):
            async with asyncio.timeout(5):
                await process.transitions.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        assert (await process.sessions.get("ann", session_id)).step == 1


async def test_inputs_that_are_read_again_since_others_are_first_have_one_limit(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Process(store, versions=["0", "1"], timeout_seconds=10) as process:
        session_id = await kept(process)
        seconds, num_lost = [100.0], 0

        async def lose(_: Swap) -> bool:
            nonlocal num_lost
            num_lost += 1
            seconds[0] += 6
            return False

        monkeypatch.setattr(process.sessions, "write", lose)
        monkeypatch.setattr("time.perf_counter", lambda: seconds[0])
        with pytest.raises(DeadlineExceeded, match="within 10 seconds"):
            await process.transitions.migrate("ann", session_id, MigrateRequest())
        assert num_lost == 2


async def test_a_version_that_is_busy_is_no_fault_of_the_inputs(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        await process.model.engine.stop()
        with pytest.raises(ShuttingDown):
            await process.transitions.migrate("ann", session_id, MigrateRequest())


DAYS = np.random.default_rng(0).normal(30, 5, size=(3, 24)).tolist()
READINGS_AND_QUESTIONS: tuple[dict[str, Any], ...] = (
    {"values": {"x": DAYS[0]}, "horizon": 48, "quantiles": [0.5]},
    {"horizon": 48},
    {"x": DAYS[1:2]},
    {"values": None, "horizon": 30},
    {"values": {"x": DAYS[2][:7]}},
)
READINGS = [(0, {"values": {"x": DAYS[0]}}), (2, {"x": DAYS[1:2]}), (4, {"values": {"x": DAYS[2][:7]}})]


@pytest.fixture(scope="module")
def forecasting() -> Runtime:
    """The shipped forecaster."""
    return Runtime(read_bundle(MODELS / "forecasting"))


@pytest.fixture
async def meters(store: FaultyStore, forecasting: Runtime) -> AsyncIterator[Process]:
    """A process with the forecaster, and with a later version of it that forecasts a day at most."""
    bundle = forecasting.bundle
    task = bundle.manifest.task.model_copy(update={"max_horizon": 24})
    later = replace(bundle, manifest=bundle.manifest.model_copy(update={"task": task}), version="later")
    async with Process(store, max_kept_input_bytes=10_000) as process:
        for each in (later, bundle):
            process.catalog.add(ForecastingModel(each, Engine(forecasting, RecordingObserver())))
            process.catalog.make_current(each.tag)
        yield process


async def measured(process: Process, *steps: dict[str, Any]) -> str:
    """A session that has taken these steps and keeps its inputs."""
    request = SessionRequest(model="forecasting", keep_inputs=True)
    session_id = (await process.openings.create("ann", request)).session_id
    for inputs in steps:
        await process.steps.take(Ask("ann", session_id, inputs=inputs))
    return session_id


async def body_of(process: Process, session_id: str) -> Body:
    return (await process.sessions.load("ann", session_id)).body


async def test_questions_about_the_future_are_not_kept(meters: Process) -> None:
    kept_inputs = (await body_of(meters, await measured(meters, *READINGS_AND_QUESTIONS))).inputs
    assert kept_inputs is not None
    assert [(each.step, each.inputs) for each in kept_steps(kept_inputs)] == READINGS


@pytest.mark.parametrize("wrote", ["this version", "one that kept questions"])
async def test_questions_that_a_version_does_not_answer_do_not_keep_a_session_from_it(
    meters: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch, wrote: str
) -> None:
    session_id = await measured(meters, *READINGS_AND_QUESTIONS)
    if wrote != "this version":
        kept_inputs: bytes | None = b""
        for step, inputs in enumerate(READINGS_AND_QUESTIONS):
            kept_inputs = appended(kept_inputs, step, inputs, 10_000)
        await store.change(session_id, body=encode((await body_of(meters, session_id))._replace(inputs=kept_inputs)))
    later = meters.catalog.by_tag("forecasting:later")
    monkeypatch.setattr(later, "_forecast", refuse)
    await meters.transitions.migrate("ann", session_id, MigrateRequest(bundle=later.bundle.tag))
    monkeypatch.undo()
    meters.catalog.make_current(later.bundle.tag)
    there_all_along = await measured(meters, *(inputs for _, inputs in READINGS))
    assert (await body_of(meters, session_id)).state == (await body_of(meters, there_all_along)).state


async def test_inputs_of_another_task_are_not_taken_for_questions(meters: Process, forecasting: Runtime) -> None:
    session_id = await meters.create(keep_inputs=True)
    await meters.text(session_id, "ab")
    bundle = forecasting.bundle
    namesake = replace(bundle, manifest=bundle.manifest.model_copy(update={"name": "sum"}))
    meters.catalog.add(ForecastingModel(namesake, Engine(forecasting, RecordingObserver())))
    with pytest.raises(NotMigratable, match="cannot read"):
        await meters.transitions.migrate("ann", session_id, MigrateRequest(bundle=namesake.tag))


def refuse(_: object) -> None:
    raise NotMigratable("no such id")
