"""The engine: rows of many sessions through one bundle's graphs, batched by cell.

    submit ─► scheduler (pure) ─► one thread that runs the graph ─► each job's own future

One engine per bundle and process. The event loop owns the scheduler; the thread only ever sees one batch (onnxruntime
releases the GIL while it runs). Nothing polls: an idle engine waits for an event, and the batch window, where one is
set, opens with the first job. A job that fails or is cancelled resolves alone, and its batch-mates run without it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from service.bundle.manifest import Bundle, Stage, TensorSpec
from service.errors import QueueFull, TooLarge
from service.ladder import covering_rung, exact_rung
from service.scheduler import Batch, Job, Ladder, Scheduler
from service.state import Array, Row

logger = logging.getLogger(__name__)

ITEM_STAGE = "encode"


class Graphs(Protocol):
    """What an engine needs of a runtime."""

    bundle: Bundle

    def run(self, stage: str, size: int, rows: Sequence[Row]) -> list[dict[str, Array]]: ...


class Observer(Protocol):
    """Who is told of every run; durations in seconds."""

    def ran(self, stage: str, size: int, waits: Sequence[float], duration_seconds: float, num_steps: int) -> None: ...


@dataclass(frozen=True)
class Advance:
    """What came of a job.

    Attributes:
        outputs: The outputs that were asked for; those with a time axis cover all items.
        row: The state row afterwards.
    """

    outputs: Row
    row: Row


@dataclass(eq=False)
class RowJob(Job):
    """A job with its tensors: what it reads next, what it has answered so far."""

    inputs: Row = field(default_factory=dict)
    row: Row = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    offset: int = 0
    parts: list[Row] = field(default_factory=list)
    waiting_since: float = 0.0
    future: asyncio.Future[Advance] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Engine:
    """Cellular batching over one bundle.

    Args:
        graphs: Runs one rung on a batch of rows.
        observer: Told of every run.
        max_batch_rows: Rows that share a run at most.
        max_queue_rows: Rows waiting or running at most; more are refused with QueueFull.
        max_wait_seconds: How long the first job of an idle engine waits for company.
    """

    def __init__(
        self,
        graphs: Graphs,
        observer: Observer,
        max_batch_rows: int = 64,
        max_queue_rows: int = 4096,
        max_wait_seconds: float = 0.0,
    ) -> None:
        self._graphs = graphs
        self._observer = observer
        self._max_queue_rows = max_queue_rows
        self._max_wait_seconds = max_wait_seconds
        self._stages: dict[str, Stage] = {stage.name: stage for stage in graphs.bundle.manifest.stages}
        self._scheduler: Scheduler[RowJob] = Scheduler(_ladders(self._stages), max_batch_rows, max_queue_rows)
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=graphs.bundle.manifest.name)
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve; needs a running event loop."""
        self._loop = asyncio.get_running_loop().create_task(self._serve())

    @property
    def is_serving(self) -> bool:
        """Whether jobs are taken up."""
        return self._loop is not None and not self._loop.done()

    async def stop(self) -> None:
        """Stop after the run in flight."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        self._thread.shutdown()

    async def advance(self, stage: str, row: Row, inputs: Row, num_items: int, keep: Sequence[str] = ()) -> Advance:
        """Take one row through a stage.

        Args:
            stage: Name of the stage.
            row: State row to start from; it is not changed.
            inputs: The stage's inputs without batch axis; those with a time axis have `num_items` items.
            num_items: Items to advance by, at least 1.
            keep: Outputs to answer with.

        Raises:
            QueueFull: The queue has no room.
        """
        (result,) = await self.advance_all(stage, [row], [inputs], num_items, keep)
        return result

    async def advance_all(
        self, stage: str, rows: Sequence[Row], inputs: Sequence[Row], num_items: int, keep: Sequence[str] = ()
    ) -> list[Advance]:
        """Take several rows of one sequence through a stage, all or none admitted; see `advance`."""
        if len(rows) > self._max_queue_rows:
            raise TooLarge(f"a sequence may have at most {self._max_queue_rows} rows")
        if not self._scheduler.can_admit(len(rows)):
            raise QueueFull(f"{self._scheduler.num_admitted} rows are waiting for {self._graphs.bundle.manifest.name}")
        jobs = [
            RowJob(stage=stage, remaining=num_items, inputs=own, row=row, keep=tuple(keep), waiting_since=_now())
            for row, own in zip(rows, inputs, strict=True)
        ]
        for job in jobs:
            self._scheduler.admit(job)
        self._arrived.set()
        try:
            return list(await asyncio.gather(*(job.future for job in jobs)))
        finally:
            for job in jobs:
                self._scheduler.withdraw(job)
                job.future.cancel()

    async def _serve(self) -> None:
        while True:
            await self._arrived.wait()
            if self._max_wait_seconds:
                await asyncio.sleep(self._max_wait_seconds)
            while batch := self._scheduler.schedule():
                try:
                    await self._turn(batch)
                except Exception as error:  # whatever a turn stumbles over, later turns must come
                    logger.exception("a turn of %s failed", batch.lane)
                    self._give_up(batch, error)
                await asyncio.sleep(0)  # whoever was just answered may come back for the next batch
            self._arrived.clear()

    def _give_up(self, batch: Batch[RowJob], error: Exception) -> None:
        for job in batch.jobs:
            if not job.future.done():
                self._scheduler.withdraw(job)
                self._scheduler.drop(job)
                job.future.set_exception(error)

    async def _turn(self, batch: Batch[RowJob]) -> None:
        alive = tuple(job for job in batch.jobs if not job.future.cancelled())
        for job in batch.jobs:
            if job.future.cancelled():
                self._scheduler.drop(job)
        if alive:
            succeeded = await self._run(Batch(batch.lane, alive))
            for job in self._scheduler.complete(Batch(batch.lane, succeeded)):
                if not job.future.done():
                    job.future.set_result(Advance(_join(job, self._stages[job.stage]), job.row))

    async def _run(self, batch: Batch[RowJob]) -> tuple[RowJob, ...]:
        """Run a batch and keep what came out with its jobs; those that fail are told, the others are returned."""
        (stage, size), jobs = batch.lane, batch.jobs
        started = _now()
        try:
            rows = [self._inputs_of(job, size) for job in jobs]
            results = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._graphs.run, stage, size, rows
            )
        except Exception as error:  # a graph's failure is its jobs' failure, never the engine's
            return await self._run_apart(batch, error)
        waits = [started - job.waiting_since for job in jobs]
        self._observer.ran(stage, size, waits, _now() - started, sum(min(size, job.remaining) for job in jobs))
        for job, result in zip(jobs, results, strict=True):
            self._take(job, result, size)
        return jobs

    async def _run_apart(self, batch: Batch[RowJob], error: Exception) -> tuple[RowJob, ...]:
        if len(batch.jobs) > 1:
            logger.warning("run of %s failed for %d rows; running them one by one", batch.lane, len(batch.jobs))
            alone = [await self._run(Batch(batch.lane, (job,))) for job in batch.jobs]
            return tuple(job for succeeded in alone for job in succeeded)
        (job,) = batch.jobs
        logger.error("run of %s failed for one row", batch.lane, exc_info=error)
        self._scheduler.drop(job)
        if not job.future.done():
            job.future.set_exception(error)
        return ()

    def _inputs_of(self, job: RowJob, size: int) -> dict[str, Array]:
        stage = self._stages[job.stage]
        own = {spec.name: _window(job.inputs[spec.name], spec, job.offset, size) for spec in stage.inputs}
        return {**own, **{name: job.row[name] for name in stage.reads}}

    def _take(self, job: RowJob, result: Row, size: int) -> None:
        written = {name: result[f"{name}_next"] for name in self._stages[job.stage].writes}
        job.row = {**job.row, **written}
        job.parts.append({name: result[name] for name in job.keep})
        job.offset += size
        job.waiting_since = _now()


def _ladders(stages: Mapping[str, Stage]) -> dict[str, Ladder]:
    return {
        name: Ladder(tuple(sorted(stage.rungs)), exact_rung if name == ITEM_STAGE else covering_rung)
        for name, stage in stages.items()
    }


def _window(values: Array, spec: TensorSpec, offset: int, size: int) -> Array:
    """The items of a rung: `size` from `offset` on, filled with zeros where a covering rung is longer."""
    if "T" not in spec.shape:
        return values
    window = values[offset : offset + size]
    if len(window) == size:
        return window
    return np.concatenate([window, np.zeros((size - len(window), *values.shape[1:]), dtype=values.dtype)])


def _join(job: RowJob, stage: Stage) -> dict[str, Array]:
    """The kept outputs of all runs: joined along time where they have one, else those of the last run."""
    timed = {spec.name for spec in stage.outputs if "T" in spec.shape}
    return {
        name: np.concatenate([part[name] for part in job.parts]) if name in timed else job.parts[-1][name]
        for name in job.keep
    }


def _now() -> float:
    return time.perf_counter()
