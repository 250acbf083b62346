"""Sessions that step together: what each is answered and what is stored are what they would be alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import (
    DeadlineExceeded,
    InvalidInput,
    QueueFull,
    ServiceError,
    SessionDamaged,
    SessionGone,
    SessionUnknown,
    ShuttingDown,
    StepConflict,
    StoreUnavailable,
    VersionUnknown,
)
from service.forms.sessions import RollbackRequest
from service.record.admission import Expired
from service.steps.cohort import FEWEST
from service.steps.grouping import MAX_ITEMS
from service.steps.recent import Latest
from service.steps.turn import Answer, Ask, Turn
from service.stores.base import Record, Store, Successors, Swap
from service.stores.limits import Limits
from service.stores.lmdb import LmdbStore
from service.stores.memory import MemoryStore
from tests.fakes.body_v1 import SessionBodyV1, StateV1, encode_v1
from tests.fakes.graphs import BAD, POISON
from tests.fakes.model import SumModel
from tests.fakes.process import NEW, Clock, Pending, Process, outputs, settle
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
NUM = FEWEST + 2


@pytest.fixture(params=[True, False], ids=["immediate", "waits"])
def store(request: pytest.FixtureRequest) -> FaultyStore:
    return FaultyStore(is_immediate=request.param)


@pytest.fixture
async def process(store: FaultyStore) -> AsyncIterator[Process]:
    async with Process(store, max_recent=100) as opened:
        yield opened


@pytest.fixture
def in_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every run be one of the engine's thread, so that the loop goes on meanwhile."""
    monkeypatch.setattr("service.engine.engine.INLINE_SECONDS", 0.0)
    monkeypatch.setattr("service.engine.engine.LONE_INLINE_SECONDS", 0.0)


def ask(session_id: str, *ids: int, step: int | None = None, **more: object) -> Ask:
    return Ask("ann", session_id, step, values=np.array(ids), **{"returns": "argmax", **more})


async def told(process: Process, asks: Sequence[Ask]) -> list[Answer | Exception]:
    """What steps that arrive together are answered."""
    steps = (process.steps.take(each) for each in asks)
    return await asyncio.gather(*steps, return_exceptions=True)  # type: ignore[return-value]  # nothing else is raised


async def taken(process: Process, asks: Sequence[Ask]) -> list[Answer]:
    """The answers of steps that arrive together, none of which is refused."""
    answers = await told(process, asks)
    assert all(isinstance(answer, Answer) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Answer)]


async def known(process: Process, num: int = NUM, **request: object) -> list[str]:
    """Sessions that have read a 1 here, so that they can go together."""
    ids = [await process.create(**request) for _ in range(num)]
    await taken(process, [ask(each, 1) for each in ids])
    return ids


def begun(process: Process, asks: Sequence[Ask]) -> list[Pending]:
    """Steps that begin together."""
    pending = [Pending() for _ in asks]
    for each, own in zip(pending, asks, strict=True):
        each.turn = Turn(own, each.done)
        process.steps.begin(each.turn)
    return pending


def widths(store: FaultyStore) -> list[int]:
    """How many sessions were written by each group of records."""
    return [len(group.steps) for groups in store.advances for group in groups]


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
    ids = await known(process, FEWEST - 1)
    await taken(process, [ask(each, 1) for each in ids])
    await taken(process, [ask(await process.create(), 1) for _ in range(NUM)])
    assert store.advances == []


@pytest.mark.parametrize("form", ["values", "json"])
async def test_steps_in_json_go_together_too(process: Process, store: FaultyStore, form: str) -> None:
    ids = await known(process)
    is_json = form == "json"
    asks = [Ask("ann", each, inputs={"ids": [3]}) if is_json else ask(each, 3, returns="none") for each in ids]
    asks = [each._replace(returns="none") for each in asks]
    answers = await taken(process, asks)
    assert widths(store) == [NUM]
    assert {answer.outputs for answer in answers} == {b"{}"}


ALIKE: list[dict[str, object]] = [{}, {"ttl_seconds": 50}, {"owner": "eve"}, {"keep_inputs": True}]
"""What sessions of a test differ in."""


class Pair:
    """One service that lets sessions go together and one that never does, over stores with the same sessions."""

    def __init__(self, together: Store, apart: Store, max_recent: int) -> None:
        self.stores = together, apart
        self.clock = Clock()
        self.together = Process(together, self.clock, max_recent=max_recent, session_ttl_seconds=90)
        self.apart = Process(apart, self.clock, session_ttl_seconds=90)
        self.rival = Process(together, self.clock, session_ttl_seconds=90)
        self.sessions: list[tuple[str, str]] = []

    async def create(self, number: int) -> None:
        request = dict(ALIKE[number])
        owner = str(request.pop("owner", "ann"))
        session_id = await self.together.create(owner, **request)
        self.sessions.append((session_id, owner))
        (record,) = await self.stores[0].load([session_id])
        assert await self.stores[1].swap([Swap(record, None)]) == [True]  # type: ignore[arg-type]  # there is one

    async def elsewhere(self, number: int, event: str) -> None:
        """Let something happen to a session that those who go together do not know of."""
        session_id, owner = self.sessions[number]
        for store, process in zip(self.stores, (self.rival, self.apart), strict=True):
            with suppress(ServiceError):
                if event == "text":
                    await process.steps.take(Ask(owner, session_id, inputs={"text": "abc+"}))
                elif event == "save":
                    await process.transitions.save(owner, session_id, "here")
                elif event == "end":
                    await process.sessions.end(owner, session_id)
                else:
                    await store.delete([session_id])

    async def take(self, asks: Sequence[Ask]) -> None:
        """Take steps together in one and one by one in the other, with the same end."""
        together = await told(self.together, asks)
        apart = [(await told(self.apart, [each]))[0] for each in asks]
        assert [of(each) for each in together] == [of(each) for each in apart]
        ids = [session_id for session_id, _ in self.sessions]
        assert await self.stores[0].load(ids) == await self.stores[1].load(ids)


def of(answer: Answer | Exception) -> object:
    """What can be compared of what a step was answered."""
    if isinstance(answer, Answer):
        values = None if answer.values is None else answer.values.tolist()
        return answer._replace(values=None), values
    return type(answer), str(answer)


STEPS = st.fixed_dictionaries(
    {
        "ids": st.lists(st.integers(0, 12), min_size=1, max_size=2) | st.just([1, 2, 3, 4, 5, 6]),
        "returns": st.sampled_from(["argmax", "argmax", "none", None, "logits"]),
        "named": st.sampled_from([None, None, None, 0, 0, 0, 0, -1, 1]),  # relative to what is next
        "is_stranger": st.sampled_from([False] * 9 + [True]),
    }
)
Round = tuple[set[int], dict[str, Any], dict[int, dict[str, Any]], dict[int, str], int]
"""Who is absent, what the others do, what some of them do instead, what befalls some before, and after how long."""
ROUNDS: st.SearchStrategy[list[Round]] = st.lists(
    st.tuples(
        st.sets(st.integers(0, 23), max_size=8),
        STEPS,
        st.dictionaries(st.integers(0, 23), STEPS, max_size=3),
        st.dictionaries(st.integers(0, 23), st.sampled_from(["text", "text", "save", "end", "delete"]), max_size=2),
        st.sampled_from([0, 0, 0, 0, 0, 1, 3, 30, 61, -5, -70]),
    ),
    min_size=3,
    max_size=6,
)


@given(ROUNDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("max_recent", [0, 100])
@pytest.mark.parametrize("backend", ["memory", "lmdb"])
async def test_whoever_steps_together_is_left_as_if_alone(
    tmp_path_factory: pytest.TempPathFactory, backend: str, max_recent: int, rounds: list[Round]
) -> None:
    directory = tmp_path_factory.mktemp("stores")
    stores = [
        MemoryStore(Limits()) if backend == "memory" else LmdbStore(directory / name, Limits())
        for name in ("together", "apart")
    ]
    pair = Pair(*stores, max_recent)
    async with pair.together, pair.apart, pair.rival:
        for n in range(24):
            await pair.create((0, 0, 0, 0, 0, 1, 2, 3)[n % 8])
        for absent, shared, others, elsewhere, seconds in rounds:
            pair.clock.now += seconds
            for number, event in elsewhere.items():
                await pair.elsewhere(number, event)
            asks = []
            for n, (session_id, owner) in enumerate(pair.sessions):
                if n in absent:
                    continue
                step = {**shared, **others.get(n, {})}
                (record,) = await stores[0].load([session_id])
                due = record.step if isinstance(record, Record) else 0
                number = None if step["named"] is None else max(0, due + step["named"])
                who = "mallory" if step["is_stranger"] else owner
                asks.append(Ask(who, session_id, number, values=np.array(step["ids"]), returns=step["returns"]))
            await pair.take(asks)
    if backend == "lmdb":
        assert rows(stores[0]) == rows(stores[1])
    for each in stores:
        await each.close()


def rows(store: LmdbStore) -> list[list[tuple[bytes, bytes]]]:
    """All that an LMDB store holds."""
    opened = store._open()
    tables = opened.tables
    with opened.environment.begin() as txn:
        held = (tables.records, tables.by_owner, tables.by_use, tables.by_expiry, tables.counts)
        return [list(txn.cursor(table)) for table in held]


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
    async with Process(store, process.clock, max_recent=100) as restarted:
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
    async with Process(store, clock, max_recent=100) as one, Process(store, clock, max_recent=100) as other:
        ids = await known(one)
        steps: dict[str, list[int]] = {each: [] for each in ids}
        for turn in range(8):
            asks = [[ask(each, 2) for each in ids[n : n + FEWEST]] for n in (0, turn % 3)]
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
    async with Process(store, max_recent=100, max_session_lifetime_seconds=15) as process:
        ids = await known(process)
        for _ in range(2):
            process.clock.now += 7
            await taken(process, [ask(each, 1) for each in ids])
        process.clock.now += 1
        answers = await told(process, [ask(each, 1) for each in ids])
    assert len(store.advances) == 2
    assert {type(answer) for answer in answers} == {Expired}


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
    assert [(group.owner, group.ttl_seconds, len(group.steps)) for group in groups] == [
        ("ann", 10, NUM),
        ("ann", 77, NUM),
        ("eve", 10, NUM),
    ]
    assert [(await store.stored(each)).ttl_seconds for each in longer] == [77] * NUM


async def test_sessions_on_two_versions_step_on_their_own(store: FaultyStore) -> None:
    async with Process(store, versions=("0", "1"), max_recent=100) as process:
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
    def on(tag: str) -> SumModel:
        raise VersionUnknown(f"{tag} is not served")

    ids = await known(process)
    monkeypatch.setattr(process.catalog, "on", on)
    answers = await told(process, [ask(each, 1) for each in ids])
    assert {type(answer) for answer in answers} == {VersionUnknown}


async def test_a_cohort_after_other_numerics_tells_of_no_change(store: FaultyStore) -> None:
    async with Process(store, numerics=b"before  ", max_recent=100) as before:
        ids = await known(before)
    async with Process(store, numerics=b"after   ", max_recent=100) as after:
        first = await taken(after, [ask(each, 1)._replace(allow_numerics_change=True) for each in ids])
        second = await taken(after, [ask(each, 1) for each in ids])
        assert [answer.is_numerics_changed for answer in (*first, *second)] == [True] * NUM + [False] * NUM
        assert (await after.sessions.load("ann", ids[0])).body.numerics == b"after   "
    assert len(store.advances) == 1


async def test_an_engine_whose_jobs_are_single_rows_takes_each_alone(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.model.engine._form, "takes_wide_jobs", False)
    ids = await known(process)
    runs = process.graphs["0"].runs
    runs.clear()
    assert [answer.step for answer in await taken(process, [ask(each, 1) for each in ids])] == [2] * NUM
    assert store.advances == []
    assert sum(num_rows for _, _, num_rows in runs) == NUM


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
    assert caplog.messages == ([] if isinstance(refusal, ServiceError) else [f"{NUM} steps could not begin together"])


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
        assert len([message for message in caplog.messages if "could not be looked at" in message]) == NUM
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
    async with Process(store, timeout_seconds=0.2, max_recent=100) as process:
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
        process.steps.begin(each.turn)
    assert [(await each.result()).step for each in pending] == [2] * NUM
    assert {each.num_told for each in pending} == {1}


async def test_an_owner_that_stumbles_keeps_nobody_from_their_answer(process: Process) -> None:
    def stumble(_: Turn) -> None:
        raise ValueError("the owner's own fault")

    ids = await known(process)
    pending = begun(process, [ask(each, 1) for each in ids[1:]])
    process.steps.begin(Turn(ask(ids[0], 1), stumble))
    assert [(await each.result()).step for each in pending] == [2] * (NUM - 1)


async def drained(process: Process) -> None:
    """Nothing is under way any more."""
    async with asyncio.timeout(5):
        await process.steps.drain()


async def test_a_step_that_is_committed_but_cannot_be_told_keeps_nobody_waiting(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def advance(latest: Latest, *parts: object) -> None:
        if latest.record.session_id == ids[3]:
            raise ZeroDivisionError("a mistake of ours")
        advance_others(latest, *parts)

    ids, advance_others = await known(process), Latest.advance
    with monkeypatch.context() as patched:
        patched.setattr(Latest, "advance", advance)
        answers = await told(process, [ask(each, 5, step=1) for each in ids])
    assert [n for n, answer in enumerate(answers) if isinstance(answer, ZeroDivisionError)] == [3]
    assert [answer.step for answer in answers if isinstance(answer, Answer)] == [2] * (NUM - 1)
    assert [answer.step for answer in await taken(process, [ask(each, 5, step=1) for each in ids])] == [2] * NUM
    assert [await process.count(each) for each in ids] == [6] * NUM
    await drained(process)


async def test_a_store_that_answers_for_too_few_keeps_nobody_waiting(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_too_few(groups: Sequence[Successors]) -> list[list[bool]]:
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
    async with Process(store, max_queue_rows=NUM, max_recent=100) as process:
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


@pytest.mark.parametrize("max_recent", [0, 100])
async def test_sessions_are_known_from_the_store_as_well(store: FaultyStore, max_recent: int) -> None:
    async with Process(store, max_recent=max_recent) as process:
        ids = await known(process)
        async with Process(store, process.clock, max_recent=max_recent) as other:
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
