"""Sessions' promises, with a model that counts characters and a clock that is set by hand."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from service.bundle.manifest import Bundle, Manifest
from service.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelUnknown,
    SessionDamaged,
    SessionGone,
    SessionUnknown,
    StepConflict,
    StoreFull,
    VersionUnknown,
)
from service.forms import SessionRequest, StepRequest, TextStep
from service.metrics import Metrics
from service.sessions import Sessions
from service.settings import SessionSettings
from service.state import SequenceState
from service.stores.memory import MemoryStore
from service.tasks.task import ServedModel
from tests.fakes.graphs import SumGraphs

pytestmark = pytest.mark.anyio
NEW = SessionRequest(model="sum")


class CountingModel(ServedModel[TextStep]):
    """Counts characters; "wait" takes for ever, "seed" tells what chance it was given."""

    kind = "counting"
    inputs_form = TextStep

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def initial_state(self) -> SequenceState:
        return SequenceState()

    async def step(self, state: SequenceState, inputs: TextStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
        await asyncio.sleep(3600 if inputs.text == "wait" else 0)
        state = replace(state, position=state.position + len(inputs.text))
        long = {"long": "x" * 70_000} if inputs.text == "long" else {}
        return {"count": state.position, "seed": seed, **long}, state


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(
    store: MemoryStore | None = None, clock: Clock | None = None, models: Mapping[str, ServedModel[Any]] | None = None
) -> Sessions:
    bundle = SumGraphs().bundle
    settings = SessionSettings(remember_ended_seconds=60, session_ttl_seconds=10, max_session_ttl_seconds=100)
    return Sessions(
        store or MemoryStore(100),
        {"sum": CountingModel(bundle)} if models is None else models,
        settings,
        Metrics(),
        timeout_seconds=0.05,
        clock=clock or Clock(),
    )


def text(text: str, step: int | None = None) -> StepRequest:
    return StepRequest(step=step, inputs={"text": text})


async def test_steps_are_numbered_and_carry_the_state() -> None:
    sessions = opened()
    created = await sessions.create("ann", NEW)
    assert created.step == 0
    answers = [await sessions.step("ann", created.session_id, text("abc", step)) for step in (0, 1, None)]
    assert [(answer.step, answer.outputs["count"]) for answer in answers] == [(1, 3), (2, 6), (3, 9)]
    assert (await sessions.get("ann", created.session_id)).step == 3


async def test_a_repeated_step_is_answered_again_and_does_not_advance() -> None:
    sessions = opened()
    session_id = (await sessions.create("ann", NEW)).session_id
    first = await sessions.step("ann", session_id, text("abc", 0))
    assert await sessions.step("ann", session_id, text("abc", 0)) == first
    assert (await sessions.step("ann", session_id, text("d", 1))).outputs["count"] == 4


@pytest.mark.parametrize("request_", [text("other", 0), text("abc", 2), text("abc", 7)])
async def test_a_step_that_is_not_next_is_a_conflict_that_says_what_is(request_: StepRequest) -> None:
    sessions = opened()
    session_id = (await sessions.create("ann", NEW)).session_id
    await sessions.step("ann", session_id, text("abc", 0))
    with pytest.raises(StepConflict) as refused:
        await sessions.step("ann", session_id, request_)
    assert refused.value.expected_step == 1


async def test_an_answer_too_large_to_keep_is_computed_again() -> None:
    sessions = opened()
    session_id = (await sessions.create("ann", NEW)).session_id
    await sessions.step("ann", session_id, text("abc", 0))
    first = await sessions.step("ann", session_id, text("long", 1))
    assert await sessions.step("ann", session_id, text("long", 1)) == first
    assert (await sessions.step("ann", session_id, text("d", 2))).outputs["count"] == 8
    with pytest.raises(StepConflict):
        await sessions.step("ann", session_id, text("long", 1))


async def test_steps_of_one_session_that_arrive_together_run_one_after_the_other() -> None:
    sessions = opened()
    session_id = (await sessions.create("ann", NEW)).session_id
    answers = await asyncio.gather(*(sessions.step("ann", session_id, text("ab")) for _ in range(5)))
    assert sorted(answer.outputs["count"] for answer in answers) == [2, 4, 6, 8, 10]


async def test_of_two_processes_that_write_one_step_one_wins() -> None:
    store = MemoryStore(10)
    one, other = opened(store), opened(store)
    session_id = (await one.create("ann", NEW)).session_id
    answers = await asyncio.gather(
        one.step("ann", session_id, text("ab")), other.step("ann", session_id, text("xyz")), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["StepAnswer", "StepConflict"]
    assert (await one.get("ann", session_id)).step == 1


async def test_refused_inputs_leave_the_session_where_it_was() -> None:
    sessions = opened()
    session_id = (await sessions.create("ann", NEW)).session_id
    with pytest.raises(InvalidInput) as refused:
        await sessions.step("ann", session_id, StepRequest(inputs={"txt": "a"}))
    assert [location for location, _ in refused.value.errors] == [("inputs", "text"), ("inputs", "txt")]
    assert (await sessions.get("ann", session_id)).step == 0


async def test_a_step_that_takes_too_long_commits_nothing() -> None:
    sessions = opened()
    session_id = (await sessions.create("ann", NEW)).session_id
    with pytest.raises(DeadlineExceeded):
        await sessions.step("ann", session_id, text("wait", 0))
    assert (await sessions.step("ann", session_id, text("abc", 0))).outputs["count"] == 3


async def test_another_owners_session_does_not_exist() -> None:
    sessions = opened()
    session_id = (await sessions.create("ann", NEW)).session_id
    for attempt in (sessions.get, sessions.end):
        with pytest.raises(SessionUnknown):
            await attempt("eve", session_id)
    with pytest.raises(SessionUnknown):
        await sessions.step("eve", session_id, text("a"))


async def test_sessions_and_their_secrets_differ() -> None:
    sessions = opened()
    ids = [(await sessions.create("ann", NEW)).session_id for _ in range(2)]
    seeds = {(await sessions.step("ann", session_id, text("a"))).outputs["seed"] for session_id in ids}
    assert len(set(ids)) == len(seeds) == 2
    assert min(map(len, ids)) >= 22


async def test_an_ended_session_is_gone_until_it_is_forgotten() -> None:
    clock = Clock()
    sessions = opened(clock=clock)
    session_id = (await sessions.create("ann", NEW)).session_id
    await sessions.end("ann", session_id)
    with pytest.raises(SessionGone) as refused:
        await sessions.get("ann", session_id)
    assert refused.value.reason == "ended"
    clock.now += 61
    await sessions.sweep()
    with pytest.raises(SessionUnknown):
        await sessions.get("ann", session_id)


@pytest.mark.parametrize("is_swept", [False, True])
async def test_an_idle_session_expires_and_says_so(is_swept: bool) -> None:
    clock = Clock()
    sessions = opened(clock=clock)
    session_id = (await sessions.create("ann", NEW)).session_id
    clock.now += 10
    assert await sessions.sweep() if is_swept else True
    with pytest.raises(SessionGone) as refused:
        await sessions.step("ann", session_id, text("a"))
    assert refused.value.reason == "expired"


async def test_every_step_puts_expiry_off() -> None:
    clock = Clock()
    sessions = opened(clock=clock)
    session_id = (await sessions.create("ann", SessionRequest(model="sum", ttl_seconds=5))).session_id
    for _ in range(4):
        clock.now += 4
        await sessions.step("ann", session_id, text("a"))
    assert (await sessions.get("ann", session_id)).expires_at == "1970-01-01T00:17:01+00:00"


async def test_a_life_longer_than_allowed_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at most 100 seconds"):
        await opened().create("ann", SessionRequest(model="sum", ttl_seconds=101))


async def test_an_unknown_model_is_named_with_those_that_exist() -> None:
    with pytest.raises(ModelUnknown, match=r"no model 'sun' is served; there are \['sum'\]"):
        await opened().create("ann", SessionRequest(model="sun"))


async def test_a_full_store_is_a_refusal() -> None:
    sessions = opened(MemoryStore(1))
    await sessions.create("ann", NEW)
    with pytest.raises(StoreFull):
        await sessions.create("ann", NEW)


async def test_a_session_stays_on_its_version() -> None:
    store = MemoryStore(10)
    session_id = (await opened(store).create("ann", NEW)).session_id
    newer = Bundle(SumGraphs().bundle.path, SumGraphs().bundle.manifest, "1")
    with pytest.raises(VersionUnknown, match="sum:0"):
        await opened(store, models={"sum": CountingModel(newer)}).step("ann", session_id, text("a"))


async def test_a_damaged_record_is_an_error_of_that_session_only() -> None:
    store = MemoryStore(10)
    sessions = opened(store)
    damaged, sound = [(await sessions.create("ann", NEW)).session_id for _ in range(2)]
    (record,) = await store.load([damaged])
    assert record is not None
    store._records[damaged] = replace(record, body=record.body[:-1] + b"!")
    with pytest.raises(SessionDamaged):
        await sessions.step("ann", damaged, text("a"))
    assert (await sessions.step("ann", sound, text("a"))).step == 1
    assert [view.session_id for view in (await sessions.page("ann", "", 10)).sessions] == [sound]
    await sessions.end("ann", damaged)
    with pytest.raises(SessionGone):
        await sessions.get("ann", damaged)


async def test_a_session_that_ends_during_a_step_stays_ended() -> None:
    store, clock = MemoryStore(10), Clock()
    stepping, ending = opened(store, clock), opened(store, clock)
    session_id = (await stepping.create("ann", NEW)).session_id
    step = asyncio.create_task(stepping.step("ann", session_id, text("ab", 0)))
    await asyncio.sleep(0)
    await ending.end("ann", session_id)
    with pytest.raises(SessionGone):
        await step
    with pytest.raises(SessionGone):
        await stepping.get("ann", session_id)


async def test_a_step_in_flight_keeps_its_session_alive() -> None:
    clock = Clock()
    sessions = opened(clock=clock)
    session_id = (await sessions.create("ann", NEW)).session_id
    step = asyncio.create_task(sessions.step("ann", session_id, text("ab", 0)))
    await asyncio.sleep(0)
    clock.now += 11
    await sessions.sweep()
    assert (await step).step == 1


async def test_live_sessions_are_listed_in_pages() -> None:
    sessions = opened()
    ids = sorted([(await sessions.create("ann", NEW)).session_id for _ in range(5)])
    await sessions.create("eve", NEW)
    await sessions.end("ann", ids[1])
    first = await sessions.page("ann", "", 3)
    second = await sessions.page("ann", first.next or "", 3)
    assert [view.session_id for view in (*first.sessions, *second.sessions)] == [ids[0], *ids[2:]]
    assert second.next is None


def test_manifest_of_the_fake_is_a_real_one() -> None:
    assert isinstance(SumGraphs().bundle.manifest, Manifest)
