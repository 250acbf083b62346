"""Sessions that step together: who goes with whom, and what each is answered and what is stored."""

import asyncio
from pathlib import Path

import numpy as np
import orjson
import pytest

from service.errors import (
    InvalidInput,
    NotStreamable,
    SessionDamaged,
    SessionGone,
    SessionUnknown,
    StepConflict,
    TooLarge,
    VersionUnknown,
)
from service.forms.sessions import RollbackRequest
from service.record.admission import Expired
from service.steps.cohorts import MIN_COHORT_TURNS
from service.steps.grouping import MAX_ITEMS
from service.steps.turn import Answer, Ask
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from tests.fakes.body_v1 import SessionBodyV1, StateV1, encode_v1
from tests.fakes.clock import Clock
from tests.fakes.graphs import BAD, POISON
from tests.fakes.model import SumModel
from tests.fakes.process import NEW, Process, settle
from tests.fakes.stores import FaultyStore
from tests.service.steps.cohort.together import NUM, ask, begun, known, of, taken, told, widths

pytestmark = pytest.mark.anyio
LIFE_IS_OVER = "1970-01-01T00:17:05+00:00"


async def test_sessions_that_are_alike_share_a_run_and_a_group_of_records(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    runs, loads = process.graphs["0"].runs, len(store.loads)
    runs.clear()
    answers = await taken(process, [ask(each, n, 2) for n, each in enumerate(ids)])
    assert runs == [("encode", 1, NUM)] * 2
    assert (len(store.advances), sum(widths(store)), len(store.loads) - loads) == (1, NUM, 0)
    assert [answer.step for answer in answers] == [2] * NUM
    assert [await process.count(each) for each in ids] == [n + 3 for n in range(NUM)]


async def test_few_sessions_or_sessions_that_are_not_known_go_alone(process: Process, store: FaultyStore) -> None:
    ids = await known(process, MIN_COHORT_TURNS - 1)
    await taken(process, [ask(each, 1) for each in ids])
    await taken(process, [ask(await process.create(), 1) for _ in range(NUM)])
    assert store.advances == []


async def test_sessions_that_step_together_are_over_at_most_a_second_late_and_never_early(
    process: Process, store: FaultyStore
) -> None:
    ids = await known(process, ttl_seconds=2)
    process.clock.now += 1.9
    await taken(process, [ask(each, 1) for each in ids])
    assert len(store.advances) == 1
    process.clock.now += 1.99
    await taken(process, [ask(each, 1) for each in ids])
    assert len(store.advances) == 2
    process.clock.now += 3
    assert [type(answer) for answer in await told(process, [ask(each, 1) for each in ids])] == [Expired] * NUM


@pytest.mark.parametrize("form", ["values", "json"])
async def test_steps_in_json_go_together_too(process: Process, store: FaultyStore, form: str) -> None:
    ids = await known(process)
    is_json = form == "json"
    asks = [Ask("ann", each, inputs={"ids": [3]}) if is_json else ask(each, 3, returns="none") for each in ids]
    asks = [each._replace(returns="none") for each in asks]
    answers = await taken(process, asks)
    assert widths(store) == [NUM]
    assert {answer.outputs for answer in answers} == {b"{}"}


async def test_a_repeated_step_is_answered_as_it_was(process: Process) -> None:
    ids = await known(process)
    asks = [ask(each, n, step=1) for n, each in enumerate(ids)]
    first = await taken(process, asks)
    again = await taken(process, asks)
    assert [of(answer._replace(values=None)) for answer in first] == [of(answer) for answer in again]
    assert [await process.count(each) for each in ids] == [n + 1 for n in range(NUM)]
    changed = await told(process, [ask(ids[0], 7, step=1), *asks[1:]])
    assert isinstance(changed[0], StepConflict)
    assert changed[0].expected_step == 2
    assert [answer.step for answer in changed[1:] if isinstance(answer, Answer)] == [2] * (NUM - 1)


async def test_a_repeated_step_is_answered_after_a_restart(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    asks = [ask(each, n, step=1) for n, each in enumerate(ids)]
    first = await taken(process, asks)
    async with Process(store, process.clock, max_cached_sessions=100) as restarted:
        again = await taken(restarted, asks)
        assert [answer.outputs for answer in again] == [answer.outputs for answer in first]
        assert [answer.step for answer in await taken(restarted, [ask(each, 1, step=2) for each in ids])] == [3] * NUM


async def test_waiting_steps_of_the_same_sessions_follow_in_order(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    rounds = [begun(process, [ask(each, number, step=number) for each in ids]) for number in (1, 2, 3)]
    answers = [[(await each.result()).step for each in pending] for pending in rounds]
    assert answers == [[2] * NUM, [3] * NUM, [4] * NUM]
    assert [await process.count(each) for each in ids] == [7] * NUM
    assert sum(widths(store)) == 3 * NUM
    assert {each.num_told for pending in rounds for each in pending} == {1}


async def test_a_bad_item_is_refused_alone(process: Process) -> None:
    ids = await known(process)
    answers = await told(process, [ask(each, 1000 if each == ids[3] else 1) for each in ids])
    assert [n for n, answer in enumerate(answers) if isinstance(answer, InvalidInput)] == [3]
    assert [answer.step for answer in answers if isinstance(answer, Answer)] == [2] * (NUM - 1)


async def test_a_step_of_no_items_is_refused_alone(process: Process) -> None:
    ids = await known(process)
    nothing = [ask(each)._replace(values=np.zeros(0, np.int64)) for each in ids]
    async with asyncio.timeout(5):
        answers = await told(process, [*nothing[:-1], ask(ids[-1], 1)])
    assert [isinstance(answer, Answer) for answer in answers] == [False] * (NUM - 1) + [True]


async def test_ids_of_another_form_are_refused_though_all_have_it(process: Process) -> None:
    ids = await known(process)
    answers = await told(process, [ask(each)._replace(values=np.ones((1, 1), np.int64)) for each in ids])
    assert {type(answer) for answer in answers} == {InvalidInput}
    assert {await process.count(each) for each in ids} == {1}


async def test_a_step_in_tensors_that_is_to_be_streamed_is_refused_alone(process: Process) -> None:
    ids = await known(process)
    answers = await told(process, [ask(each, 1, is_streamed=each == ids[3]) for each in ids])
    assert [n for n, answer in enumerate(answers) if isinstance(answer, NotStreamable)] == [3]
    assert await process.count(ids[3]) == 1


async def test_a_step_for_a_former_session_of_that_id_is_refused_alone(process: Process) -> None:
    ids = await known(process)
    answers = await told(process, [ask(each, 1, secret=bytes(16) if each == ids[3] else None) for each in ids])
    assert [n for n, answer in enumerate(answers) if isinstance(answer, SessionGone)] == [3]
    assert await process.count(ids[3]) == 1


async def test_checkpoints_are_no_sessions(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    for each in ids:
        await process.transitions.save("ann", each, "here")
    async with Process(store, process.clock) as other:
        answers = await told(other, [ask(f"{each}~here~1", 1) for each in ids])
    assert {type(answer) for answer in answers} == {SessionUnknown}


async def test_more_logits_than_a_response_may_hold_are_refused(process: Process) -> None:
    ids = await known(process)
    answers = await told(process, [ask(each, 1, returns=None, num_request_items=10**9) for each in ids])
    assert {type(answer) for answer in answers} == {TooLarge}


async def test_steps_of_two_lengths_by_turns_are_each_of_its_own(process: Process) -> None:
    ids = await known(process, 4 * NUM)
    items = [[1, 2, 3] if n % 2 else [n] for n in range(4 * NUM)]
    answers = await taken(process, [ask(each, *own) for each, own in zip(ids, items, strict=True)])
    assert [await process.count(each) for each in ids] == [1 + sum(own) for own in items]
    assert [len(orjson.loads(answer.outputs)["argmax"]) for answer in answers] == [len(own) for own in items]


async def test_steps_that_return_two_outputs_by_turns_are_each_told_its_own(process: Process) -> None:
    ids = await known(process, 4 * NUM)
    answers = await taken(process, [ask(each, 1, returns="none" if n % 2 else "argmax") for n, each in enumerate(ids)])
    assert [list(orjson.loads(answer.outputs)) for answer in answers] == [["argmax"], []] * (2 * NUM)


async def test_many_sessions_go_in_two_halves(process: Process, store: FaultyStore) -> None:
    ids = await known(process, 4 * NUM)
    store.advances.clear()
    await taken(process, [ask(each, n) for n, each in enumerate(ids)])
    assert widths(store) == [2 * NUM, 2 * NUM]
    assert [await process.count(each) for each in ids] == [1 + n for n in range(4 * NUM)]


async def test_each_is_told_its_values_and_its_model(process: Process) -> None:
    ids = await known(process)
    pending = begun(process, [ask(each, n, 2) for n, each in enumerate(ids)])
    for each in pending:
        answer = await each.result()
        assert answer.values is not None
        assert answer.values.tolist() == orjson.loads(answer.outputs)["argmax"]
        assert each.turn.model is process.model


@pytest.mark.parametrize("num_runs", [1, 3])
async def test_a_run_that_fails_on_one_row_fails_that_session_alone(process: Process, num_runs: int) -> None:
    ids = await known(process)
    items = [1] * (num_runs - 1)
    answers = await told(process, [ask(each, *items, BAD if each == ids[3] else 1) for each in ids])
    assert [n for n, answer in enumerate(answers) if isinstance(answer, RuntimeError)] == [3]
    assert [answer.step for answer in answers if isinstance(answer, Answer)] == [2] * (NUM - 1)
    assert await process.count(ids[3]) == 1
    assert await process.count(ids[4]) == 1 + num_runs
    assert process.steps.is_idle


async def test_a_nan_stays_in_its_row(process: Process) -> None:
    ids = await known(process)
    await taken(process, [ask(each, POISON if each == ids[3] else 1) for each in ids])
    layout = process.model.layout
    for each in ids:
        row = (await process.sessions.load("ann", each)).body.state.row
        assert np.isnan(layout.tensor(row, "trace")).any() == (each == ids[3])


async def test_another_writer_who_is_first_hurts_one_session(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    async with Process(store, process.clock) as rival:
        theirs = await rival.steps.take(ask(ids[2], 5))
        await rival.steps.take(ask(ids[5], 8, step=1))
    asks = [ask(each, 5) for each in ids]
    asks[5] = ask(ids[5], 5, step=1)
    answers = await told(process, asks)
    assert sum(widths(store)) == NUM
    conflict, again = answers.pop(5), answers.pop(2)
    assert isinstance(conflict, StepConflict)
    assert (conflict.expected_step, theirs.step) == (2, 2)
    assert isinstance(again, Answer)
    assert (again.step, await process.count(ids[2])) == (3, 11)
    assert [answer.step for answer in answers if isinstance(answer, Answer)] == [2] * (NUM - 2)
    assert [answer.step for answer in await taken(process, [ask(each, 1) for each in ids])] == [
        *(2 + (n == 2) + 1 for n in range(NUM))
    ]


async def test_the_loser_with_the_same_input_gets_the_winners_answer(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    async with Process(store, process.clock) as rival:
        theirs = await rival.steps.take(ask(ids[2], 5, step=1))
    ours = (await taken(process, [ask(each, 5, step=1) for each in ids]))[2]
    assert (ours.step, ours.outputs, await process.count(ids[2])) == (2, theirs.outputs, 6)


@pytest.mark.usefixtures("in_thread")
async def test_of_two_processes_whose_cohorts_race_no_step_is_lost_or_taken_twice(tmp_path: Path) -> None:
    store, clock = LmdbStore(tmp_path / "store", Limits()), Clock()
    async with (
        Process(store, clock, max_cached_sessions=100) as one,
        Process(store, clock, max_cached_sessions=100) as other,
    ):
        ids = await known(one)
        steps: dict[str, list[int]] = {each: [] for each in ids}
        for turn in range(8):
            asks = [[ask(each, 2) for each in ids[n : n + MIN_COHORT_TURNS]] for n in (0, turn % 3)]
            answers = await asyncio.gather(*map(taken, (one, other), asks))
            for answer in (*answers[0], *answers[1]):
                steps[answer.session_id].append(answer.step)
        for session_id, numbers in steps.items():
            assert sorted(numbers) == list(range(2, len(numbers) + 2))
            assert await one.count(session_id) == 1 + 2 * len(numbers)
    await store.close()


async def test_sessions_that_have_changed_elsewhere_are_told_what_they_are(
    process: Process, store: FaultyStore
) -> None:
    ids = await known(process)
    await process.sessions.end("ann", ids[0])
    await process.transitions.save("ann", ids[1], "here")
    await process.transitions.roll_back("ann", ids[1], RollbackRequest(checkpoint="here"))
    await store.delete([ids[2]])
    store.damaged.add(ids[3])
    await store.change(ids[3], step=9)
    answers = await told(process, [ask(each, 5) for each in ids])
    assert [type(answer) for answer in answers[:4]] == [SessionGone, Answer, SessionUnknown, SessionDamaged]
    assert [answer.step for answer in answers if isinstance(answer, Answer)] == [4, *[2] * (NUM - 4)]
    loaded = await process.sessions.load("ann", ids[1])
    assert [each.split("~")[0] for each in loaded.body.checkpoints] == ["here"]


async def test_checkpoints_and_idempotency_keys_are_kept(process: Process, store: FaultyStore) -> None:
    request = NEW
    ids = [(await process.openings.create("ann", request, f"key-{n}")).session_id for n in range(NUM)]
    for each in ids[:2]:
        await process.transitions.save("ann", each, "start")
    await taken(process, [ask(each, 1) for each in ids])
    for number in range(2):
        await taken(process, [ask(each, number) for each in ids])
    assert len(store.advances) == 2
    again = [(await process.openings.create("ann", request, f"key-{n}")).session_id for n in range(NUM)]
    assert again == ids
    bodies = [(await process.sessions.load("ann", each)).body for each in ids]
    assert [len(body.checkpoints) for body in bodies] == [1, 1, *[0] * (NUM - 2)]
    assert len({body.secret for body in bodies}) == NUM


async def test_sessions_that_are_over_go_no_further(process: Process) -> None:
    ids = await known(process)
    process.clock.now += 10
    answers = await told(process, [ask(each, 1) for each in ids])
    assert {type(answer) for answer in answers} == {Expired}


async def test_a_session_that_has_lived_its_life_goes_no_further(store: FaultyStore) -> None:
    async with Process(store, max_cached_sessions=100, max_session_lifetime_seconds=25) as process:
        ids = await known(process)
        for seconds in (7, 7, 7, 3):  # they go alone where the end of their lives comes into sight
            process.clock.now += seconds
            await taken(process, [ask(each, 1) for each in ids])
        assert [each.ttl_seconds for groups in store.advances for each in groups] == [[10] * NUM, [10] * NUM, [1] * NUM]
        assert {(await store.stored(each)).expires_at for each in ids} == {1025}
        process.clock.now += 1
        answers = await told(process, [ask(each, 1) for each in ids])
    assert {type(answer) for answer in answers} == {Expired}


@pytest.mark.usefixtures("in_thread")
async def test_a_step_that_takes_long_forgets_no_idle_time(store: FaultyStore) -> None:
    async with Process(store, max_cached_sessions=100, max_session_lifetime_seconds=25) as process:
        ids = await known(process)
        for seconds in (7, 7):
            process.clock.now += seconds
            await taken(process, [ask(each, 1) for each in ids])
        process.graphs["0"].gate.clear()
        pending = begun(process, [ask(each, 1) for each in ids])
        await settle()
        process.clock.now += 8
        process.graphs["0"].gate.set()
        assert {(await each.result()).step for each in pending} == {4}
        assert [set(group.ttl_seconds) for groups in store.advances for group in groups] == [{10}] * 3
        assert {view.expires_at for view in (await process.sessions.page("ann", "", NUM)).sessions} == {LIFE_IS_OVER}
        await taken(process, [ask(each, 1) for each in ids])
        assert {(await store.stored(each)).expires_at for each in ids} == {1025}
        assert {(await process.sessions.load("ann", each)).idle_seconds for each in ids} == {10}


async def test_a_stranger_among_them_is_told_that_there_is_no_session(process: Process) -> None:
    ids = await known(process)
    asks = [ask(each, 1) for each in ids]
    asks[4] = asks[4]._replace(owner="mallory")
    answers = await told(process, asks)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, SessionUnknown)] == [4]
    assert await process.count(ids[4]) == 1


async def test_sessions_of_two_owners_and_of_two_lifetimes_do_not_mix(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    longer = await known(process, ttl_seconds=77)
    eves = [await process.create("eve") for _ in range(NUM)]
    await taken(process, [ask(each, 1)._replace(owner="eve") for each in eves])
    asks = [ask(each, 2) for pair in zip(ids, longer, strict=True) for each in pair]
    asks += [ask(each, 2)._replace(owner="eve") for each in eves]
    await taken(process, asks)
    groups = [group for groups in store.advances for group in groups]
    assert [(group.owner, *set(group.ttl_seconds), len(group.steps)) for group in groups] == [
        ("ann", 10, NUM),
        ("ann", 77, NUM),
        ("eve", 10, NUM),
    ]
    assert [(await store.stored(each)).ttl_seconds for each in longer] == [77] * NUM


async def test_sessions_on_two_versions_step_on_their_own(store: FaultyStore) -> None:
    async with Process(store, versions=("0", "1"), max_cached_sessions=100) as process:
        newer = await known(process)
        process.catalog.make_current("sum:0")
        older = await known(process)
        for graphs in process.graphs.values():
            graphs.runs.clear()
        await taken(process, [ask(each, 2) for pair in zip(newer, older, strict=True) for each in pair])
        assert [graphs.runs for graphs in process.graphs.values()] == [[("encode", 1, NUM)]] * 2
        assert [(await store.stored(each)).bundle for each in (newer[0], older[0])] == ["sum:1", "sum:0"]


async def test_a_version_that_is_served_no_more_is_told_to_each(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def session_model_by_tag(tag: str) -> SumModel:
        raise VersionUnknown(f"{tag} is not served")

    ids = await known(process)
    monkeypatch.setattr(process.catalog, "session_model_by_tag", session_model_by_tag)
    answers = await told(process, [ask(each, 1) for each in ids])
    assert {type(answer) for answer in answers} == {VersionUnknown}


async def test_a_cohort_after_other_numerics_tells_of_no_change(store: FaultyStore) -> None:
    async with Process(store, numerics=b"before  ", max_cached_sessions=100) as before:
        ids = await known(before)
    async with Process(store, numerics=b"after   ", max_cached_sessions=100) as after:
        first = await taken(after, [ask(each, 1)._replace(allow_numerics_change=True) for each in ids])
        second = await taken(after, [ask(each, 1) for each in ids])
        assert [answer.is_numerics_changed for answer in (*first, *second)] == [True] * NUM + [False] * NUM
        assert (await after.sessions.load("ann", ids[0])).body.numerics == b"after   "
    assert len(store.advances) == 1


async def test_an_engine_whose_jobs_are_single_rows_takes_each_alone(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.model.engine._builder, "takes_wide_jobs", False)
    ids = await known(process)
    runs = process.graphs["0"].runs
    runs.clear()
    assert [answer.step for answer in await taken(process, [ask(each, 1) for each in ids])] == [2] * NUM
    assert store.advances == []
    assert sum(num_rows for _, _, num_rows in runs) == NUM


@pytest.mark.parametrize("max_cached_sessions", [0, 100])
async def test_sessions_are_known_from_the_store_as_well(store: FaultyStore, max_cached_sessions: int) -> None:
    async with Process(store, max_cached_sessions=max_cached_sessions) as process:
        ids = await known(process)
        async with Process(store, process.clock, max_cached_sessions=max_cached_sessions) as other:
            assert [answer.step for answer in await taken(other, [ask(each, 1) for each in ids])] == [2] * NUM
            assert sum(widths(store)) == NUM
            assert [await process.count(each) for each in ids] == [2] * NUM


async def test_records_that_need_a_closer_look_are_looked_at_alone(store: FaultyStore) -> None:
    async with Process(store) as process:
        old, unreadable, damaged, *others = ids = await known(process)
        body = (await process.sessions.load("ann", old)).body
        row = {name: process.model.layout.tensor(body.state.row, name) for name in ("total", "trace")}
        state = StateV1((row,), ("",), b"", 1)
        v1 = SessionBodyV1("sum", "sum:0", 10, body.secret.hex(), state, body.digest.hex(), body.answer)
        await store.change(old, body=encode_v1(v1))
        await store.change(unreadable, body=b"\x09" * 99)
        store.damaged.add(damaged)
        others.append(old)
        more = [await process.create() for _ in range(2)]
        heard = await told(process, [ask(each, 1) for each in (*ids, *more)])
        refused = {each for each, answer in zip((*ids, *more), heard, strict=True) if not isinstance(answer, Answer)}
        assert refused == {unreadable, damaged}
        assert [await process.count(each) for each in others] == [2] * len(others)
        assert [await process.count(each) for each in more] == [1, 1]


async def test_a_step_of_many_items_goes_alone_and_its_answer_is_kept(process: Process, store: FaultyStore) -> None:
    ids = await known(process)
    many = [1] * (MAX_ITEMS + 1)
    await taken(process, [ask(each, *many) for each in ids])
    assert store.advances == []
    await taken(process, [ask(each, *many[1:]) for each in ids])
    assert sum(widths(store)) == NUM
