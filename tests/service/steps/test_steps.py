"""Steps: what they answer, exactly once, and what a session is after them."""

import asyncio

import numpy as np
import pytest

from service.errors import (
    InvalidInput,
    NotMigratable,
    QueueFull,
    SessionGone,
    SessionUnknown,
    StepConflict,
    VersionUnknown,
)
from service.forms.sessions import MigrateRequest
from service.steps.step_rules import MAX_KEPT_ANSWER_BYTES
from service.steps.turn import Answer, Ask
from tests.fakes.clock import Clock
from tests.fakes.graphs import BAD, POISON, logits_of
from tests.fakes.process import Process, outputs, settle, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["distant", "immediate"])
def store(request: pytest.FixtureRequest) -> FaultyStore:
    """A store whose calls wait, and one whose calls are over at once."""
    return FaultyStore(is_immediate=request.param)


async def test_steps_are_numbered_and_carry_the_state(process: Process) -> None:
    session_id = await process.create()
    answers = [await process.text(session_id, "abc", step) for step in (0, 1, None)]
    assert [(answer.step, outputs(answer)["count"]) for answer in answers] == [(1, 3), (2, 6), (3, 9)]
    assert (await process.sessions.get("ann", session_id)).step == 3


async def test_an_answer_is_json_of_session_step_and_outputs() -> None:
    told = Answer("an-id", 4, b'{"a":1}').json()
    assert told == b'{"session_id":"an-id","step":4,"outputs":{"a":1}}'
    changed = Answer("an-id", 4, b"{}", is_numerics_changed=True).json()
    assert changed == b'{"session_id":"an-id","step":4,"outputs":{},"numerics_changed":true}'


async def test_a_repeated_step_is_answered_again_and_does_not_advance(process: Process) -> None:
    session_id = await process.create()
    first = await process.text(session_id, "abc", 0)
    assert [await process.text(session_id, "abc", 0) for _ in range(3)] == [first] * 3
    assert process.model.num_computed == 1
    assert outputs(await process.text(session_id, "d", 1))["count"] == 4


async def test_a_repetition_is_told_by_what_was_meant_and_not_by_its_spelling(process: Process) -> None:
    session_id = await process.create()
    first = await process.ids(session_id, 2, 3, step=0)
    values = np.array([2, 3])
    assert (await process.steps.take(Ask("ann", session_id, 0, values=values))).outputs == first.outputs
    with pytest.raises(StepConflict):
        await process.ids(session_id, 2, 3, step=0, returns="argmax")


@pytest.mark.parametrize(("text", "step"), [("other", 0), ("abc", 2), ("abc", 7)])
async def test_a_step_that_is_not_next_is_a_conflict_that_says_what_is(process: Process, text: str, step: int) -> None:
    session_id = await process.create()
    await process.text(session_id, "abc", 0)
    with pytest.raises(StepConflict) as refused:
        await process.text(session_id, text, step)
    assert refused.value.expected_step == 1
    assert await process.count(session_id) == 3


async def test_conflicts_and_replays_are_counted(process: Process) -> None:
    session_id = await process.create()
    counted = process.metrics.registry.get_sample_value
    for text, step in (("abc", 0), ("long", 1), ("d", 2)):
        await process.text(session_id, text, step)
    assert (counted("rnn_step_replays_total"), counted("rnn_step_conflicts_total")) == (0, 0)
    await process.text(session_id, "d", 2)
    for text, step in (("other", 2), ("e", 7)):
        with pytest.raises(StepConflict):
            await process.text(session_id, text, step)
    with pytest.raises(SessionUnknown):
        await process.text("no-session", "e", 3)
    assert (counted("rnn_step_replays_total"), counted("rnn_step_conflicts_total")) == (1, 2)


async def test_an_answer_that_is_computed_again_counts_as_a_replay(process: Process) -> None:
    session_id = await process.create()
    for _ in range(2):
        await process.text(session_id, "long", 0)
    assert process.metrics.registry.get_sample_value("rnn_step_replays_total") == 1


async def test_an_answer_too_large_to_keep_is_computed_again(process: Process) -> None:
    session_id = await process.create()
    await process.text(session_id, "abc", 0)
    first = await process.text(session_id, "long", 1)
    assert len(first.outputs) > MAX_KEPT_ANSWER_BYTES
    assert (await process.sessions.load("ann", session_id)).body.answer == b""
    assert await process.text(session_id, "long", 1) == first
    assert process.model.num_computed == 3
    assert outputs(await process.text(session_id, "d", 2))["count"] == 8
    with pytest.raises(StepConflict):
        await process.text(session_id, "long", 1)


async def test_logits_too_large_to_keep_are_computed_again(process: Process) -> None:
    session_id = await process.create()
    ids = [n % 12 for n in range(3000)]
    await process.text(session_id, "ab+", 0)  # the repetition has to read what was pending before
    first = await process.ids(session_id, *ids, step=1)
    again = await process.ids(session_id, *ids, step=1)
    assert len(first.outputs) > MAX_KEPT_ANSWER_BYTES
    assert again.outputs == first.outputs
    assert again.values is not None
    np.testing.assert_array_equal(again.values, logits_of(3 + np.cumsum(ids)))
    assert outputs(await process.text(session_id, "d", 2))["count"] == 4 + sum(ids)


async def test_ids_are_answered_with_the_logits_after_each(process: Process) -> None:
    session_id = await process.create()
    answer = await process.ids(session_id, 3, 4, 5, 6, 7)
    expected = logits_of(np.cumsum([3, 4, 5, 6, 7]))
    assert answer.values is not None
    np.testing.assert_array_equal(answer.values, expected)
    assert outputs(answer) == {"logits": expected.tolist()}
    argmax = await process.ids(session_id, 3, 4, returns="argmax")
    assert outputs(argmax) == {"argmax": logits_of(np.array([28, 32])).argmax(axis=-1).tolist()}
    assert outputs(await process.ids(session_id, 1, returns="none")) == {}
    assert await process.count(session_id) == 33


async def test_pending_input_is_read_before_ids_and_not_answered(process: Process) -> None:
    session_id = await process.create()
    assert outputs(await process.text(session_id, "a++"))["count"] == 1
    answer = await process.ids(session_id, 5, returns="logits")
    assert outputs(answer) == {"logits": logits_of(np.array([8])).tolist()}
    assert outputs(await process.text(session_id, "b"))["count"] == 9


async def test_refused_inputs_leave_the_session_where_it_was(process: Process) -> None:
    session_id = await process.create()
    with pytest.raises(InvalidInput) as refused:
        await process.steps.take(Ask("ann", session_id, inputs={"txt": "a"}))
    assert [location for location, _ in refused.value.errors] == [("inputs", "txt"), ("inputs", "text")]
    for ids in ([1, 100], [-1], [1] * 40 + [100], []):
        with pytest.raises(InvalidInput) as refused:
            await process.ids(session_id, *ids)
        assert refused.value.errors[0][0] == ("inputs", "ids")
    with pytest.raises(InvalidInput):
        await process.ids(session_id, 2**70)
    assert (await process.sessions.get("ann", session_id)).step == 0


@pytest.mark.parametrize(
    "values", [np.zeros((2, 3), np.int64), np.zeros((40, 2), np.int64), np.zeros(3), np.zeros(3, np.int32)]
)
async def test_tensors_of_another_form_are_refused(process: Process, values: np.ndarray) -> None:
    session_id = await process.create()
    with pytest.raises(InvalidInput):
        await process.steps.take(Ask("ann", session_id, values=values))


async def test_another_owners_session_does_not_exist(process: Process) -> None:
    session_id = await process.create()
    for stranger in ("eve", ""):
        with pytest.raises(SessionUnknown):
            await process.steps.take(Ask(stranger, session_id, inputs={"text": "a"}))
    with pytest.raises(SessionUnknown):
        await process.text("nobody", "a")


async def test_sessions_that_step_together_share_loads_runs_and_commits(process: Process, store: FaultyStore) -> None:
    ids = [await process.create() for _ in range(5)]
    store.loads.clear()
    store.swaps.clear()
    answers = await asyncio.gather(*(process.ids(session_id, n) for n, session_id in enumerate(ids)))
    assert [answer.session_id for answer in answers] == ids
    assert (len(store.loads), len(store.swaps)) == (1, 1)
    assert process.graphs["0"].runs == [("encode", 1, 5)]
    assert [await process.count(session_id) for session_id in ids] == [0, 1, 2, 3, 4]


async def test_a_row_that_fails_harms_no_other(process: Process) -> None:
    ids = [await process.create() for _ in range(4)]
    asked = (process.ids(session_id, n) for session_id, n in zip(ids, (5, BAD, 6, POISON), strict=True))
    first, failed, third, poisoned = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(failed, RuntimeError)
    for answer, n in ((first, 5), (third, 6)):
        assert isinstance(answer, Answer)
        assert outputs(answer) == {"logits": logits_of(np.array([n])).tolist()}
    assert isinstance(poisoned, Answer)
    assert np.isnan(poisoned.values).all()
    again = await asyncio.gather(*(process.ids(session_id, 1) for session_id in ids))
    assert [bool(np.isnan(answer.values).any()) for answer in again] == [False, False, False, True]
    assert [answer.step for answer in again] == [2, 1, 2, 2]


async def test_a_fresh_session_starts_from_no_predecessors_state(process: Process) -> None:
    older = await process.create()
    await process.ids(older, POISON, 50)
    await process.sessions.end("ann", older)
    fresh = await process.create()
    assert outputs(await process.ids(fresh, 2)) == {"logits": logits_of(np.array([2])).tolist()}


async def test_sessions_and_steps_differ_in_their_chance(process: Process) -> None:
    ids = [await process.create() for _ in range(2)]
    seeds = [outputs(await process.text(session_id, "a"))["seed"] for session_id in ids for _ in range(3)]
    assert len(set(ids)) == 2
    assert len(set(seeds)) == 6


async def test_a_full_queue_refuses_those_who_find_no_room(store: FaultyStore) -> None:
    async with Process(store, max_queue_rows=3) as process:
        ids = [await process.create() for _ in range(5)]
        answers = await asyncio.gather(*(process.ids(each, 1) for each in ids), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Answer"] * 3 + ["QueueFull"] * 2
        refused = next(each for each, answer in zip(ids, answers, strict=True) if isinstance(answer, QueueFull))
        assert (await process.ids(refused, 1)).step == 1


async def test_an_expired_session_says_so_and_is_buried(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    process.clock.now += 10
    for _ in range(2):
        with pytest.raises(SessionGone) as refused:
            await process.text(session_id, "a")
        assert refused.value.reason == "expired"
    assert (await store.stored(session_id)).ended == "expired"


async def test_a_session_that_is_used_lives_until_its_lifetime_is_over(store: FaultyStore) -> None:
    async with Process(store, Clock(), max_session_lifetime_seconds=25) as process:
        session_id = await process.create()
        for _ in range(3):
            process.clock.now += 8
            await process.text(session_id, "a")
        process.clock.now += 1
        with pytest.raises(SessionGone) as refused:
            await process.text(session_id, "a")
        assert refused.value.reason == "expired"


async def test_a_session_that_began_under_a_longer_lifetime_ends_with_the_present_one(store: FaultyStore) -> None:
    clock = Clock()
    async with Process(store, clock) as process:
        session_id = await process.create(ttl_seconds=100)
    clock.now += 25
    async with Process(store, clock, max_session_lifetime_seconds=25) as process:
        with pytest.raises(SessionGone) as refused:
            await process.text(session_id, "a")
        assert refused.value.reason == "expired"


async def test_a_session_whose_lifetime_is_over_is_buried_with_its_checkpoints(
    store: FaultyStore,
) -> None:
    async with Process(store, max_cached_sessions=100, max_session_lifetime_seconds=25) as process:
        session_id = await process.create(ttl_seconds=90)
        await process.transitions.save("ann", session_id, "here")
        await process.text(session_id, "a")
        process.clock.now += 26
        with pytest.raises(SessionGone):
            await process.text(session_id, "a")
        await until(lambda: store._records[session_id].ended == "expired")
        await settle()
        assert (await store.count()).num_bytes == 0


async def test_a_session_of_a_version_that_is_not_served_is_refused(process: Process, store: FaultyStore) -> None:
    session_id, kept = await process.create(), await process.create(keep_inputs=True)
    for each in (session_id, kept):
        await process.text(each, "a")
    async with Process(store, process.clock, versions=["1"]) as newer:
        refusals = []
        for each in (session_id, kept):
            with pytest.raises(VersionUnknown) as refused:
                await newer.text(each, "a", 0)
            assert refused.value.members() == {"expected_step": 1}
            refusals.append(str(refused.value))
        way_out = (
            "bundle sum:0 is not served; of sum there are ['sum:1']. The session is on it and lost nothing: step 1 is "
            "next once the operator has put it back into the model store"
        )
        assert refusals == [
            f"{way_out}; it cannot migrate, since its inputs are not kept",
            f"{way_out}, or after POST /sessions/{kept}/migrate, since its inputs are kept",
        ]
        await newer.transitions.migrate("ann", kept, MigrateRequest())
        assert (await newer.text(kept, "b")).step == 3
        with pytest.raises(NotMigratable, match="goes on once the operator has put it back"):
            await newer.transitions.migrate("ann", session_id, MigrateRequest())
    assert (await process.text(session_id, "b")).step == 2
