"""The engine: runs rows of many sessions through one bundle's graphs, batched by cell.

    submit ─► scheduler (pure) ─► prepare ─► the graph runs ─► apply ─► `on_done` of each job
                  ▲                         in one thread        │
                  └──────────── items left ──────────────────────┘

Each process has one engine per bundle. Everything but the run happens on the event loop; only the runs of a job that
has the engine to itself follow one another in the thread, unless they are short, since the way through the event loop
takes a lone stream of text .6 ms more, a fifth of a run. Nothing polls: an idle engine waits to be woken, and the batch
window, if one is set, opens with the first job. `RunPolicy` decides what runs when and on which thread. A job that
fails or is withdrawn is resolved alone, and its batch-mates run without it.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from service.bundle.manifest import Bundle
from service.bundle.stage import Stage
from service.engine.advancing import Advance, RowRuns, run_all
from service.engine.graph_runs import RunResult, run_once, run_repeatedly
from service.engine.graph_thread import GraphThread
from service.engine.job import BatchBuilder, PreparedBatch, RowJob
from service.engine.ladder import Ladder
from service.engine.run_policy import RunPolicy
from service.engine.scheduler import Batch, Lane, Scheduler, num_rows
from service.engine.state import Array, Inputs
from service.errors import OutOfResources, QueueFull, ShuttingDown, TooLarge

logger = logging.getLogger(__name__)


class Graphs(Protocol):
    """What an engine needs from a runtime."""

    bundle: Bundle

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """Run one rung on a batch; see `Runtime.run`."""


class Observer(Protocol):
    """Counts runs."""

    def count_run(self, stage: str, rung: int, waits: Sequence[float], duration_seconds: float, num_steps: int) -> None:
        """Count one run.

        Args:
            stage: Name of the stage.
            rung: T of the graph that ran.
            waits: How long each row waited for the run, in seconds.
            duration_seconds: How long the run took.
            num_steps: Items consumed, over all rows.
        """


class Engine:
    """Cellular batching over one bundle.

    Args:
        graphs: Runs one rung on a batch of rows.
        observer: Counts runs.
        max_batch_rows: The largest number of rows in a run.
        max_queue_rows: The largest number of rows waiting or running. More are refused with QueueFull.
        max_wait_seconds: How long the first job of an idle engine waits for others.
        builder: How jobs become batches; None if `graphs` reads tensors from the host.
    """

    def __init__(
        self,
        graphs: Graphs,
        observer: Observer,
        max_batch_rows: int = 64,
        max_queue_rows: int = 4096,
        max_wait_seconds: float = 0.0,
        builder: BatchBuilder | None = None,
    ) -> None:
        self._graphs = graphs
        self._observer = observer
        self._max_queue_rows = max_queue_rows
        self._max_wait_seconds = max_wait_seconds
        self._builder = builder or BatchBuilder(graphs.bundle)
        self._scheduler: Scheduler[RowJob] = Scheduler(_ladders(self._builder.stages), max_batch_rows, max_queue_rows)
        self._to_retry_alone: deque[RowJob] = deque()
        self._policy = RunPolicy(max_batch_rows, self._builder.may_run_inline)
        self._thread: GraphThread[RunResult] | None = None
        self._is_woken = False
        self._is_stopped = False

    def start(self) -> None:
        """Start running jobs. Needs a running event loop."""
        self._thread = GraphThread(self._graphs.bundle.manifest.name, self._builder.warm_up)
        self._wake()

    @property
    def takes_wide_jobs(self) -> bool:
        """Whether a job may have several rows."""
        return self._builder.takes_wide_jobs

    def num_jobs(self, num_rows: int) -> int:
        """Return how many jobs to divide these rows into; they all take the same step."""
        return self._policy.num_jobs(num_rows)

    @property
    def is_serving(self) -> bool:
        """Whether the engine has been started and not stopped."""
        return self._thread is not None

    @property
    def is_idle(self) -> bool:
        """Whether no row waits or runs."""
        return not self._scheduler.num_admitted

    async def stop(self) -> None:
        """Stop after the runs in flight. Jobs with items left then fail with ShuttingDown."""
        if self._thread is None:
            return
        self._is_stopped = True
        thread, self._thread = self._thread, None
        try:
            await thread.stop()
        finally:
            while (batch := self._next()) is not None:
                for job in batch.jobs:
                    self._fail_job(job, self._shutting_down())

    def submit(self, jobs: Sequence[RowJob], is_group: bool = False) -> None:
        """Admit jobs, all or none: if this raises, none waits. The `on_done` of each is called on the event loop.

        Args:
            jobs: Jobs with items remaining.
            is_group: Whether these are all jobs that have arrived so far, so that there is nothing to wait for.

        Raises:
            QueueFull: The queue has no room.
            ShuttingDown: The engine has stopped.
        """
        if self._is_stopped:
            raise self._shutting_down()
        is_idle = self.is_idle
        if not self._scheduler.can_admit(num_rows(jobs)):
            raise QueueFull(f"{self._scheduler.num_admitted} rows are waiting for {self._graphs.bundle.manifest.name}")
        try:
            for job in jobs:
                self._scheduler.admit(job)
            if is_group and not self._max_wait_seconds:
                self._pump()
            else:
                self._wake(self._max_wait_seconds if is_idle else 0.0)
        except Exception:
            for job in jobs:
                self.withdraw(job)
            raise

    def check_rows(self, num_items: int, rows_of_item: int = 1, of: str = "rows") -> None:
        """Raise TooLarge if a request has more rows at a time than the queue holds, so that they would never fit.

        Args:
            num_items: What the request has at a time.
            rows_of_item: Rows that each has.
            of: What clients call the items.
        """
        most = self._max_queue_rows // rows_of_item
        if num_items > most:
            name, needed = self._graphs.bundle.manifest.name, num_items * rows_of_item
            advice = f": send at most {most} {of} at a time" if most else ""
            raise TooLarge(
                f"{name} takes {self._max_queue_rows} rows of a request at a time, and this needs {needed}{advice}"
            )

    def withdraw(self, job: RowJob) -> None:
        """Drop a job that nobody waits for any more. Its `on_done` is not called."""
        job.is_withdrawn = True
        job.drop_callbacks()
        self._scheduler.withdraw(job)

    def outputs_of(self, job: RowJob) -> dict[str, Array]:
        """Return the kept outputs of a finished job; see `RowJob.outputs`."""
        return job.outputs(self._builder.stages[job.stage])

    async def advance(
        self, stage: str, row: bytes, inputs: Inputs, num_items: int, keep: Sequence[str] = ()
    ) -> Advance:
        """Run one row through a stage.

        Args:
            stage: Name of the stage.
            row: State row to start from.
            inputs: The stage's inputs without their batch axis, of the manifest's dtypes. Those with a time axis have
                T = `num_items`.
            num_items: Items to advance by, at least 1.
            keep: Names of the outputs to return.

        Raises:
            QueueFull: The queue has no room.
            ShuttingDown: The engine has stopped.
            Exception: The run failed.
        """
        (result,) = await self.advance_all(stage, [row], [inputs], [num_items], keep)
        return result

    async def advance_all(
        self,
        stage: str,
        rows: Sequence[bytes],
        inputs: Sequence[Inputs],
        num_items: Sequence[int],
        keep: Sequence[str] = (),
    ) -> list[Advance]:
        """Run several rows of one sequence through a stage, each with its own number of items; see `advance`.

        They are admitted all or none.

        Raises:
            TooLarge: There are more rows than the queue can ever hold.
        """
        self.check_rows(len(rows))
        jobs = [
            RowJob(stage, length, row=row, inputs=own, keep=tuple(keep))
            for row, own, length in zip(rows, inputs, num_items, strict=True)
        ]
        return await run_all(self, jobs)

    def submit_runs(self, stage: str, row: bytes, inputs: Inputs, num_items: int, keep: Sequence[str]) -> RowRuns:
        """Start one row and return its runs, to be awaited one by one; see `advance`.

        The inputs may have more than `num_items` items, which the row consumes if it is extended in time.

        Raises:
            QueueFull, ShuttingDown: The row is not admitted.
        """
        return RowRuns(self, RowJob(stage, num_items, row=row, inputs=inputs, keep=tuple(keep)))

    def _wake(self, after_seconds: float = 0.0) -> None:
        if self._is_woken:
            return
        loop = asyncio.get_running_loop()
        if after_seconds:
            loop.call_later(after_seconds, self._pump)
        else:
            loop.call_soon(self._pump)
        self._is_woken = True

    def _pump(self) -> None:
        """Start all runs that may start now."""
        self._is_woken = False
        while (thread := self._thread) is not None and self._can_start():
            batch = self._next()
            if batch is None or self._start_run(batch, thread):
                return

    def _can_start(self) -> bool:
        return self._policy.is_idle or self._policy.may_be_second(self._scheduler.num_next)

    def _next(self) -> Batch[RowJob] | None:
        """Return the next batch, without withdrawn jobs. After a failed run, its jobs come first, each alone."""
        while (batch := self._failed_alone() or self._scheduled()) is not None:
            withdrawn = [job for job in batch.jobs if job.is_withdrawn]
            if not withdrawn:
                return batch
            for job in withdrawn:
                self._scheduler.drop(job)
            if len(withdrawn) < len(batch.jobs):
                return Batch(batch.lane, tuple(job for job in batch.jobs if not job.is_withdrawn))
        return None

    def _scheduled(self) -> Batch[RowJob] | None:
        return self._scheduler.schedule(self._policy.num_rows(self._scheduler.num_next))

    def _failed_alone(self) -> Batch[RowJob] | None:
        if not self._to_retry_alone:
            return None
        job = self._to_retry_alone.popleft()
        return Batch(self._scheduler.lane(job), (job,))

    def _start_run(self, batch: Batch[RowJob], thread: GraphThread[RunResult]) -> bool:
        """Start the run of a batch.

        Returns:
            Whether the run is over already. The event loop should then get a turn before the next run.
        """
        started = time.perf_counter()
        try:
            prepared = self._builder.prepare(batch)
            waits = [started - job.waiting_since for job in batch.jobs for _ in range(job.width)]
            is_inline = self._policy.runs_inline(batch, is_alone=self._scheduler.num_admitted == 1)
            if not is_inline:
                runs = run_repeatedly(self._run_graph, prepared, waits, self._next_rung)
                thread.submit(runs, partial(self._on_run_ended, self._pump))
        except Exception as error:  # for instance, one job's inputs do not fit those of the others
            self._fail(batch, error)
            return True
        self._policy.run_started()  # from here on it certainly ends in `_on_run_ended`
        if is_inline:
            self._on_run_ended(self._wake, run_once(self._run_graph, prepared, waits))
        return is_inline

    def _run_graph(self, prepared: PreparedBatch) -> list[Array]:
        return self._graphs.run(*prepared.batch.lane, prepared.feeds, prepared.names)

    def _next_rung(self, prepared: PreparedBatch) -> int | None:
        """Return T of the next run of a job that has the engine to itself, or None. Called in the graph thread."""
        job = prepared.batch.jobs[0]
        is_alone = len(prepared.batch.jobs) == 1 and self._scheduler.num_admitted == job.width and self.is_serving
        if not is_alone or job.is_over or prepared.num_left <= 0:
            return None
        rung = self._scheduler.rung(job.stage, prepared.num_left)
        is_for_loop = self._policy.is_short(Lane(job.stage, rung), job.width, is_alone=job.width == 1)
        return None if is_for_loop else rung

    def _on_run_ended(self, go_on: Callable[[], None], one: RunResult) -> None:
        """Apply a run's results and start the next run; call the jobs' `on_done` while that run is under way.

        What no client waits for comes last.
        """
        batch = one.prepared.batch
        if one.is_last:
            self._policy.run_ended()
        if batch.jobs[0].error is not None:  # an earlier run of this job could not be applied
            self._wake()
            return
        num_steps = self._apply(one)
        if isinstance(num_steps, Exception):
            self._fail(batch, num_steps)
            return
        done = self._counted(one)
        if one.is_last and (self._to_retry_alone or not self._scheduler.is_empty):
            go_on()
        if len(done) < len(batch.jobs):
            for job in batch.jobs:
                if job.remaining and job.on_run is not None:
                    _call(job.on_run, job)
        for job in done:
            _end(job)
        try:
            self._observer.count_run(*batch.lane, one.waits, one.seconds, num_steps)
        except Exception:  # nobody awaits it
            logger.exception("a run of %s could not be counted", batch.lane)

    def _apply(self, one: RunResult) -> int | Exception:
        """Apply a run's results.

        Returns:
            Number of items consumed, over all rows; or why the run failed, which is not raised, because its traceback
            would keep the batch alive.
        """
        batch, results = one.prepared.batch, one.results
        try:
            # Of failed runs too, or slow ones that fail would stay on the event loop.
            self._policy.learn(batch, one.seconds, has_failed=isinstance(results, Exception))
            if isinstance(results, Exception):
                return results
            num_steps = sum([min(batch.lane.rung, job.remaining) * job.width for job in batch.jobs])
            one.prepared.apply(results)  # the last that may fail: from here on, no job may run again
        except Exception as error:
            return error
        return num_steps

    def _counted(self, one: RunResult) -> Sequence[RowJob]:
        """Count a run, and return the jobs that are done."""
        if one.is_last:
            return self._scheduler.complete(one.prepared.batch)
        self._scheduler.count(one.prepared.batch)
        return ()

    def _fail(self, batch: Batch[RowJob], error: Exception) -> None:
        """Run each job of a failed run again alone. A job that was alone fails; so do all jobs if resources ran out."""
        if isinstance(error, OutOfResources):
            for job in batch.jobs:
                self._fail_job(job, error)
        elif len(batch.jobs) > 1:
            logger.warning("a run of %s failed for %d jobs; running them one by one", batch.lane, len(batch.jobs))
            self._to_retry_alone.extend(batch.jobs)
        else:
            logger.error("a run of %s failed for a single job, which fails", batch.lane, exc_info=error)
            self._fail_job(batch.jobs[0], error)
        self._wake()

    def _fail_job(self, job: RowJob, error: Exception) -> None:
        job.error = error
        self._scheduler.drop(job)
        _end(job)

    def _shutting_down(self) -> ShuttingDown:
        return ShuttingDown(f"{self._graphs.bundle.tag} is no longer served here; try again")


def _end(job: RowJob) -> None:
    """Notify a job's owner. The job forgets it first: their cycle would keep all outputs until garbage collection."""
    owner = job.on_done
    job.drop_callbacks()
    _call(owner, job)


def _call(owner: Callable[[RowJob], None], job: RowJob) -> None:
    if job.is_withdrawn:
        return
    try:
        owner(job)
    except Exception:  # an owner's failure must not keep other jobs from ending
        logger.exception("the callback of an engine job failed")


def _ladders(stages: Mapping[str, Stage]) -> dict[str, Ladder]:
    return {name: Ladder(tuple(sorted(stage.rungs)), is_exact=stage.fit == "exact") for name, stage in stages.items()}
