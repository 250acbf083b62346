"""The engine: what it answers, what shares a run, and whom a failure or a cancellation touches."""

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.engine import Engine
from service.engine.graph_thread import GraphThread
from service.engine.job import BatchBuilder, PreparedBatch, RowJob, StageLayout
from service.engine.run_policy import RunPolicy
from service.engine.scheduler import Batch, Scheduler
from service.engine.state import Array
from service.errors import OutOfResources, QueueFull, ShuttingDown, TooLarge
from tests.fakes.graphs import BAD, LAYOUT, RecordingObserver, SumGraphs, logits_of, row_of, total_of
from tests.service.engine.serving import FRESH, FailsOnce, job, run, serving, total, totals, turn, wide

pytestmark = pytest.mark.anyio


async def test_a_length_goes_through_the_rungs_in_order() -> None:
    graphs = SumGraphs()
    async with serving(graphs) as engine:
        items = np.arange(1, 7)
        advance = await engine.advance("encode", FRESH, {"x": items}, 6, keep=["sums", "last"])
    assert graphs.runs == [("encode", 4, 1), ("encode", 1, 1), ("encode", 1, 1)]
    np.testing.assert_array_equal(advance.outputs["sums"], np.cumsum(items))
    assert advance.outputs["last"] == total_of(advance.row) == 21


async def test_a_stage_that_answers_from_the_state_leaves_it_as_it_is() -> None:
    async with serving(SumGraphs()) as engine:
        advance = await engine.advance("forecast", row_of(3), {"scale": np.array(10)}, 2, keep=["multiples"])
    assert advance.outputs["multiples"].tolist() == [30, 60]
    assert advance.row == row_of(3)


async def test_rows_that_wait_together_share_a_run() -> None:
    graphs = SumGraphs()
    async with serving(graphs) as engine:
        totals = await asyncio.gather(*(total(engine, n) for n in range(5)))
    assert totals == [0, 1, 2, 3, 4]
    assert graphs.runs == [("encode", 1, 5)]


async def test_rows_that_are_submitted_together_share_a_run() -> None:
    graphs, done = SumGraphs(), asyncio.Event()
    jobs = [job(n) for n in range(3)]
    jobs[-1].on_done = lambda _: done.set()
    async with serving(graphs) as engine:
        engine.submit(jobs)
        await done.wait()
    assert [total_of(each.row) for each in jobs] == [0, 1, 2]
    assert graphs.runs == [("encode", 1, 3)]


async def test_rows_join_while_others_are_under_way() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs) as engine:
        first = asyncio.create_task(total(engine, 1, 1))
        await turn()
        second = asyncio.create_task(total(engine, 7))
        await turn()
        graphs.gate.set()
        assert await asyncio.gather(first, second) == [2, 7]
    assert graphs.runs == [("encode", 1, 1), ("encode", 1, 2)]


async def test_a_long_job_does_not_starve_a_single_step() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs) as engine:
        long = asyncio.create_task(total(engine, *[1] * 400))
        await turn()
        step = asyncio.create_task(total(engine, 7))
        await turn()
        graphs.gate.set()
        assert await step == 7
        assert await long == 400
    assert graphs.runs[1] == ("encode", 1, 2)
    assert len(graphs.runs) <= 104


async def test_a_full_second_batch_is_prepared_while_one_runs_and_one_that_may_grow_waits() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs, max_batch_rows=2) as engine:
        first = asyncio.create_task(total(engine, 1))
        await turn()
        waiting = job(2)
        engine.submit([waiting])
        await turn()
        engine.withdraw(waiting)  # still in the queue, so that it can be taken out again
        full = [asyncio.create_task(total(engine, n)) for n in (3, 4)]
        await turn()
        late = asyncio.create_task(total(engine, 5))
        await turn()
        graphs.gate.set()
        assert await asyncio.gather(first, *full, late) == [1, 3, 4, 5]
    assert graphs.runs == [("encode", 1, 1), ("encode", 1, 2), ("encode", 1, 1)]


async def test_short_runs_give_the_event_loop_a_turn_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.run_policy.INLINE_SECONDS", 10.0)
    monkeypatch.setattr("service.engine.run_policy.LONE_INLINE_SECONDS", 10.0)
    graphs = SumGraphs()
    async with serving(graphs) as engine:
        await total(engine, 1)  # learns that a run of one row is short
        long = asyncio.create_task(total(engine, *[1] * 3))
        seen = []
        while not long.done():
            seen.append(len(graphs.runs))
            await asyncio.sleep(0)
        assert await long == 3
    assert set(seen) >= {1, 2, 3, 4}


async def test_a_row_that_is_alone_runs_on_the_event_loop_and_two_in_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.engine.run_policy.INLINE_SECONDS", 0.0)
    monkeypatch.setattr("service.engine.run_policy.LONE_INLINE_SECONDS", 10.0)
    is_on_loop = []

    class Watched(SumGraphs):
        def run(self, stage: str, rung: int, feeds: Mapping[str, np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
            is_on_loop.append(threading.current_thread() is threading.main_thread())
            return super().run(stage, rung, feeds, names)

    async with serving(Watched()) as engine:
        assert [await total(engine, 1), await total(engine, 2)] == [1, 2]  # the first tells how long one takes
        for _ in range(2):
            assert await asyncio.gather(total(engine, 3), total(engine, 4)) == [3, 4]
    assert is_on_loop == [False, True, False, False]


async def test_the_batch_window_is_for_the_first_job_of_an_idle_engine_only() -> None:
    graphs = SumGraphs()
    async with serving(graphs, max_wait_seconds=0.02) as engine:
        first = asyncio.create_task(total(engine, 1))
        await turn()
        assert await asyncio.gather(total(engine, 2), first) == [2, 1]
        assert graphs.runs == [("encode", 1, 2)]
        loop = asyncio.get_running_loop()
        started = loop.time()
        await total(engine, *[1] * 163)  # 43 runs
        assert loop.time() - started < 0.4


async def test_the_batch_window_is_for_groups_too() -> None:
    graphs, done = SumGraphs(), asyncio.Event()
    one, other = job(1), job(2)
    other.on_done = lambda _: done.set()
    async with serving(graphs, max_wait_seconds=0.02) as engine:
        engine.submit([one], is_group=True)
        engine.submit([other], is_group=True)
        await done.wait()
    assert graphs.runs == [("encode", 1, 2)]


async def test_a_bad_row_fails_alone() -> None:
    async with serving(SumGraphs()) as engine:
        answers = await asyncio.gather(total(engine, 1), total(engine, BAD), total(engine, 2), return_exceptions=True)
        assert answers[::2] == [1, 2]
        assert isinstance(answers[1], RuntimeError)
        assert await total(engine, 4) == 4


async def test_rows_that_failed_together_run_alone_before_others() -> None:
    graphs, order = SumGraphs(), list[int]()
    graphs.gate.clear()
    jobs = [job(n) for n in (1, BAD, 2, 3, 4)]
    done = asyncio.Event()

    def told(ended: RowJob) -> None:
        order.append(jobs.index(ended))
        if len(order) == len(jobs):
            done.set()

    for each in jobs:
        each.on_done = told
    async with serving(graphs) as engine:
        engine.submit(jobs[:2], is_group=True)
        await turn()
        engine.submit(jobs[2:], is_group=True)
        graphs.gate.set()
        async with asyncio.timeout(10):
            await done.wait()
    assert (set(order[:2]), order[2:]) == ({0, 1}, [2, 3, 4])
    assert graphs.runs[-1] == ("encode", 1, 3)


async def test_rows_whose_graph_cannot_be_opened_now_fail_together(caplog: pytest.LogCaptureFixture) -> None:
    class Unopened(SumGraphs):
        def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
            super().run(stage, rung, feeds, names)
            raise OutOfResources("no files are left")

    graphs = Unopened()
    async with serving(graphs) as engine:
        jobs = [job(1), job(2), job(3)]
        await run(engine, *jobs)
        assert engine.is_idle
    assert [type(each.error) for each in jobs] == [OutOfResources] * 3
    assert graphs.runs == [("encode", 1, 3)]
    assert not caplog.messages


async def test_inputs_that_fit_no_batch_fail_alone() -> None:
    async with serving(SumGraphs()) as engine:
        wrong = engine.advance("encode", FRESH, {"x": np.zeros((1, 3), np.int64)}, 1)
        answers = await asyncio.gather(total(engine, 1), wrong, total(engine, 2), return_exceptions=True)
        assert answers[::2] == [1, 2]
        assert isinstance(answers[1], AssertionError)


class StumblingBuilder(BatchBuilder):
    """Has no memory for the kept outputs of its first run."""

    def __init__(self) -> None:
        super().__init__(SumGraphs().bundle)
        self._stage_layout = StumblingStageLayout(self.stages["encode"])

    def prepare(self, batch: Batch[RowJob]) -> PreparedBatch:
        return PreparedBatch(batch, self._stage_layout, LAYOUT.batch([job.row for job in batch.jobs]))


class StumblingStageLayout(StageLayout):
    has_stumbled = False

    def by_row(self, named: Mapping[str, Array], kept: Iterable[str]) -> dict[str, Array]:
        if not self.has_stumbled:
            self.has_stumbled = True
            raise MemoryError
        return super().by_row(named, kept)


async def test_a_run_whose_outputs_could_not_be_kept_is_repeated_from_the_same_rows() -> None:
    engine = Engine(SumGraphs(), RecordingObserver(), builder=StumblingBuilder())
    engine.start()
    try:
        jobs = [job(7, keep=("sums",)), job(9)]
        await run(engine, *jobs)
    finally:
        await engine.stop()
    assert [totals(each) for each in jobs] == [[7], [9]]
    assert engine.outputs_of(jobs[0])["sums"].tolist() == [7]


async def test_an_owner_that_stumbles_keeps_nobody_from_their_answer() -> None:
    def stumble(_: RowJob) -> None:
        raise ValueError("the owner's own fault")

    async with serving(SumGraphs()) as engine:
        clumsy = job(1)
        clumsy.on_done = stumble
        engine.submit([clumsy])
        assert await total(engine, 2) == 2


async def test_a_cancelled_request_does_not_block_its_batch() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs) as engine:
        running = asyncio.create_task(total(engine, 1, 1))
        await turn()
        waiting = asyncio.create_task(total(engine, 2))
        mate = asyncio.create_task(total(engine, 3))
        await turn()
        running.cancel()
        waiting.cancel()
        await turn()
        graphs.gate.set()
        assert await mate == 3
        assert await asyncio.gather(running, waiting, return_exceptions=True) != [2, 2]
    assert graphs.runs[-1] == ("encode", 1, 1)


async def test_a_withdrawn_job_is_not_told() -> None:
    graphs, told = SumGraphs(), []
    graphs.gate.clear()
    async with serving(graphs) as engine:
        running, waiting = job(1, 1), job(2)
        running.on_done = waiting.on_done = told.append
        engine.submit([running])
        await turn()
        engine.submit([waiting])
        engine.withdraw(running)
        engine.withdraw(waiting)
        graphs.gate.set()
        assert await total(engine, 3) == 3
    assert told == []
    assert graphs.runs == [("encode", 1, 1), ("encode", 1, 1)]


async def test_cancelled_rows_give_their_place_in_the_queue_back() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs, max_queue_rows=2) as engine:
        tasks = [asyncio.create_task(total(engine, 1, 2)) for _ in range(2)]
        await turn()
        with pytest.raises(QueueFull):
            await total(engine, 1)
        for task in tasks:
            task.cancel()
        graphs.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(10):
            assert await retried(engine, 1) == 1
        assert await asyncio.gather(total(engine, 1), total(engine, 2)) == [1, 2]


async def retried(engine: Engine, item: int) -> int:
    """Ask again, as a client would, until the queue has room."""
    while True:
        try:
            return await total(engine, item)
        except QueueFull:
            await asyncio.sleep(0)


async def test_rows_of_one_sequence_are_admitted_together_or_not_at_all() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    async with serving(graphs, max_queue_rows=2) as engine:
        waiting = asyncio.create_task(total(engine, 1))
        await turn()
        with pytest.raises(QueueFull):
            await engine.advance_all("encode", [FRESH] * 2, [{"x": np.array([1])}] * 2, [1, 1])
        graphs.gate.set()
        await waiting
        advances = await engine.advance_all("encode", [FRESH] * 2, [{"x": np.array([n])} for n in (4, 5)], [1, 1])
    assert [total_of(advance.row) for advance in advances] == [4, 5]
    assert graphs.runs == [("encode", 1, 1), ("encode", 1, 2)]


async def test_a_turn_that_stumbles_fails_its_jobs_and_the_next_turn_comes() -> None:
    async with serving(SumGraphs()) as engine:
        with pytest.raises(KeyError):
            await engine.advance("encode", FRESH, {"x": np.array([1])}, 1, keep=["nosuch"])
        assert engine.is_serving
        assert await total(engine, 1, 2) == 3


async def test_more_rows_than_the_queue_ever_takes_are_too_large() -> None:
    async with serving(SumGraphs(), max_queue_rows=2) as engine:
        with pytest.raises(TooLarge, match="takes 2 rows of a request at a time, and this needs 3"):
            await engine.advance_all("encode", [FRESH] * 3, [{"x": np.array([1])}] * 3, [1] * 3)


async def test_rows_of_one_job_share_runs_with_others_and_are_told_once() -> None:
    graphs, observer = SumGraphs(), RecordingObserver()
    engine = Engine(graphs, observer, max_batch_rows=8)
    engine.start()
    some, alone = wide([1] * 6, [2] * 6, [3] * 6), job(*[4] * 6)
    await run(engine, alone, some)
    await engine.stop()
    assert graphs.runs == [("encode", 4, 4), ("encode", 1, 4), ("encode", 1, 4)]
    assert (total_of(alone.row), totals(some)) == (24, [6, 12, 18])
    assert observer.steps == 24
    assert len(observer.waits) == 12


@given(
    lengths=st.lists(st.tuples(st.integers(1, 11), st.integers(1, 6)), min_size=1, max_size=6), seed=st.integers(0, 999)
)
@settings(max_examples=30, deadline=None)
async def test_an_argmax_over_several_runs_is_that_of_each_row_alone(lengths: list[tuple[int, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    items = [random.integers(0, 9, (width, num_items)) for num_items, width in lengths]
    jobs = [wide(*each.tolist(), keep=("argmax",)) if len(each) > 1 else job(*each[0].tolist()) for each in items]
    for each in jobs:
        each.keep = ("argmax",)
    async with serving(SumGraphs(), max_batch_rows=6) as engine:
        await run(engine, *jobs)
        for each, own in zip(jobs, items, strict=True):
            expected = logits_of(np.cumsum(own, axis=1)).argmax(axis=-1)
            np.testing.assert_array_equal(np.reshape(engine.outputs_of(each)["argmax"], own.shape), expected)
            assert totals(each) == own.sum(axis=1).tolist()


async def test_a_wide_job_that_fails_hurts_no_other_and_gives_its_places_back() -> None:
    async with serving(SumGraphs(), max_queue_rows=8) as engine:
        bad, sound, alone = wide([1, 1], [1, BAD], [1, 1]), wide([2, 2], [3, 3]), job(4, 4)
        await run(engine, bad, sound, alone)
        assert isinstance(bad.error, RuntimeError)
        assert (sound.error, totals(sound), total_of(alone.row)) == (None, [4, 6], 8)
        many = wide(*[[1]] * 8)
        await run(engine, many)
        assert totals(many) == [1] * 8


async def test_a_wide_job_that_is_withdrawn_is_not_told_and_gives_its_places_back() -> None:
    graphs, told = SumGraphs(), []
    graphs.gate.clear()
    async with serving(graphs, max_queue_rows=6) as engine:
        running, waiting = wide([1, 1], [1, 1]), wide(*[[1]] * 4)
        running.on_done = waiting.on_done = told.append
        engine.submit([running])
        await turn()
        engine.submit([waiting])
        with pytest.raises(QueueFull):
            engine.submit([job(1)])
        engine.withdraw(running)
        engine.withdraw(waiting)
        graphs.gate.set()
        many = wide(*[[1]] * 4)
        await run(engine, many)
    assert told == []
    assert totals(many) == [1] * 4


async def test_what_a_failed_wide_job_submits_at_once_is_taken_up() -> None:
    async with serving(SumGraphs()) as engine:
        bad, instead, done = wide([BAD], [1]), job(7), asyncio.Event()
        instead.on_done = lambda _: done.set()
        bad.on_done = lambda _: engine.submit([instead], is_group=True)
        engine.submit([bad], is_group=True)
        async with asyncio.timeout(10):
            await done.wait()
        assert total_of(instead.row) == 7


async def test_rows_that_go_the_same_way_become_few_jobs() -> None:
    graphs = SumGraphs()
    async with serving(graphs, max_batch_rows=64) as engine:
        assert [engine.num_jobs(num_rows) for num_rows in (1, 31, 32, 64, 65, 200)] == [1, 1, 2, 2, 2, 4]
        graphs.gate.clear()
        engine.submit([job(1, 1)])
        await turn()
        assert [engine.num_jobs(num_rows) for num_rows in (31, 64, 65)] == [1, 1, 2]


def test_an_engine_whose_jobs_are_single_rows_says_so() -> None:
    graphs = SumGraphs()
    builder = BatchBuilder(graphs.bundle)
    builder.takes_wide_jobs = False
    assert Engine(graphs, RecordingObserver()).takes_wide_jobs
    assert not Engine(graphs, RecordingObserver(), builder=builder).takes_wide_jobs


async def test_every_item_is_counted_once() -> None:
    graphs, observer = SumGraphs(), RecordingObserver()
    engine = Engine(graphs, observer)
    engine.start()
    await asyncio.gather(total(engine, 1, 2, 3, 4, 5), total(engine, 1))
    assert observer.steps == 6
    await engine.advance("forecast", row_of(3), {"scale": np.array(10)}, 1, keep=["multiples"])
    assert observer.steps == 6 + 1  # by a rung that covers two
    await engine.stop()
    assert min(observer.waits) >= 0


async def test_a_stop_answers_the_runs_in_flight_and_refuses_what_is_left() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    engine = Engine(graphs, RecordingObserver(), max_batch_rows=2)
    engine.start()
    running, left = asyncio.create_task(total(engine, 1)), asyncio.create_task(total(engine, 1, 2))
    await turn()
    late = asyncio.create_task(total(engine, 3))
    await turn()
    stopping = asyncio.create_task(engine.stop())
    await turn()
    assert not engine.is_serving
    graphs.gate.set()
    async with asyncio.timeout(10):
        await stopping
        answers = await asyncio.gather(running, left, late, return_exceptions=True)
    assert answers[0] == 1
    assert {type(answer) for answer in answers[1:]} == {ShuttingDown}
    with pytest.raises(ShuttingDown):
        await total(engine, 4)


async def test_an_engine_whose_stop_is_cancelled_admits_nothing_more() -> None:
    graphs = SumGraphs()
    graphs.gate.clear()
    engine = Engine(graphs, RecordingObserver())
    engine.start()
    running = asyncio.create_task(total(engine, 1))
    await turn()
    stopping = asyncio.create_task(engine.stop())
    await turn()
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    graphs.gate.set()
    async with asyncio.timeout(10):
        assert await running == 1
        with pytest.raises(ShuttingDown):
            await total(engine, 2)


async def test_a_run_that_cannot_be_counted_ends_its_jobs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError("of ours")

    monkeypatch.setattr(RecordingObserver, "count_run", no_memory)
    async with serving(SumGraphs()) as engine, asyncio.timeout(10):
        assert await total(engine, 1, 2, 3) == 6


async def test_runs_that_fail_slowly_leave_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.run_policy.LONE_INLINE_SECONDS", 0.05)
    is_on_loop = list[bool]()

    class Failing(SumGraphs):
        def run(self, stage: str, rung: int, feeds: Mapping[str, np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
            is_on_loop.append(threading.current_thread() is threading.main_thread())
            if len(is_on_loop) <= 3:
                return super().run(stage, rung, feeds, names)
            time.sleep(0.5)
            raise ValueError("by a test")

    async with serving(Failing()) as engine:
        for _ in range(3):
            await total(engine, 1)
        for _ in range(2):
            with pytest.raises(ValueError, match="by a test"):
                await total(engine, 1)
    assert is_on_loop == [False, True, True, True, False]


async def test_the_first_run_after_one_that_failed_at_once_is_not_on_the_event_loop() -> None:
    is_on_loop = list[bool]()

    class NotOpenedAtFirst(SumGraphs):
        def run(self, stage: str, rung: int, feeds: Mapping[str, np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
            is_on_loop.append(threading.current_thread() is threading.main_thread())
            if len(is_on_loop) == 1:
                raise OutOfResources("by a test")
            return super().run(stage, rung, feeds, names)

    async with serving(NotOpenedAtFirst()) as engine:
        with pytest.raises(OutOfResources):
            await total(engine, 1)
        assert await total(engine, 1) == 1
    assert is_on_loop == [False, False]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Scheduler, "_enqueue"),
        (BatchBuilder, "prepare"),
        (RunPolicy, "runs_inline"),
        (GraphThread, "submit"),
        (RunPolicy, "learn"),
    ],
)
async def test_without_memory_for_a_run_its_job_fails_and_the_next_one_runs(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(SumGraphs()) as engine, asyncio.timeout(10):
        fails = FailsOnce(owner, name, monkeypatch)
        with pytest.raises(MemoryError):
            await total(engine, 1, 2)
        assert fails.has_failed
        assert engine.is_idle
        assert await total(engine, 3, 4) == 7
        assert await asyncio.gather(total(engine, 5), total(engine, 6)) == [5, 6]


async def test_rows_whose_run_cannot_be_learned_from_consume_their_items_once(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job(1, 2, 3, 4, 5, keep=("sums",)), job(5, 6, 7, 8, 9, keep=("sums",))]
    async with serving(SumGraphs()) as engine:
        fails = FailsOnce(RunPolicy, "learn", monkeypatch)
        await run(engine, *jobs)
        sums = [engine.outputs_of(each)["sums"].tolist() for each in jobs]
    assert fails.has_failed
    assert sums == [[1, 3, 6, 10, 15], [5, 11, 18, 26, 35]]


async def test_an_engine_that_could_not_be_woken_is_woken_by_the_next_job(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(SumGraphs()) as engine, asyncio.timeout(10):
        await turn()
        with monkeypatch.context() as patched:
            FailsOnce(type(asyncio.get_running_loop()), "call_soon", patched)
            with pytest.raises(MemoryError):
                engine.submit([job(1)])
        assert engine.is_idle
        assert await total(engine, 2) == 2
