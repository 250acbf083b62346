"""Rows of one sequence on their way through a stage: await all of them, or a single row run by run."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.engine.job import RowJob
from service.engine.state import Array, Inputs


class JobTaker(Protocol):
    """What `run_all` and RowRuns need from an engine."""

    def submit(self, jobs: Sequence[RowJob]) -> None: ...

    def withdraw(self, job: RowJob) -> None: ...

    def outputs_of(self, job: RowJob) -> dict[str, Array]: ...


@dataclass(frozen=True)
class Advance:
    """The result of a row's job.

    Attributes:
        outputs: The requested outputs without their batch axis, of the manifest's dtypes: those with a time axis
            (T, ...) for all T items, the others from the last run.
        row: The state row afterwards.
    """

    outputs: Inputs
    row: bytes


async def run_all(engine: JobTaker, jobs: Sequence[RowJob]) -> list[Advance]:
    """Submit a job for each row of one sequence, all or none, and wait for all of them.

    Once one of them fails, or if the task is cancelled, the unfinished jobs are withdrawn.

    Returns:
        The result of each row.

    Raises:
        QueueFull, ShuttingDown: The engine does not admit them.
        Exception: The first failure of a job.
    """
    num_open = len(jobs)
    over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def count(job: RowJob) -> None:
        nonlocal num_open
        num_open -= 1
        if not over.done() and (job.error is not None or not num_open):
            over.set_result(job.error)

    for job in jobs:
        job.on_done = count
    engine.submit(jobs)
    try:
        error = await over
    finally:
        for job in jobs:
            engine.withdraw(job)
    if error is not None:
        raise error
    return [Advance(engine.outputs_of(job), job.row) for job in jobs]


class RowRuns:
    """One row on its way, with the result of each of its runs. The engine runs on whether or not they are awaited.

    Args:
        engine: Admits the job.
        job: The row's job. It must keep outputs.

    Raises:
        QueueFull, ShuttingDown: The engine does not admit it.
    """

    def __init__(self, engine: JobTaker, job: RowJob) -> None:
        self._engine = engine
        self._job = job
        self._rows: list[bytes] = []
        self._next_run: asyncio.Future[None] | None = None
        job.rows = self._rows
        job.on_run = job.on_done = self._wake
        engine.submit([job])

    async def next(self) -> Advance:
        """Wait for the next run. There must be one left.

        Returns:
            The result of that run alone: a time axis is as long as its rung.

        Raises:
            Exception: The run failed.
        """
        job = self._job
        while not self._rows:
            if job.error is not None:
                raise job.error
            self._next_run = asyncio.get_running_loop().create_future()
            await self._next_run
        return Advance(job.parts.pop(0), self._rows.pop(0))

    def extend(self, num_items: int) -> bool:
        """Let the row consume so many more of its inputs' items. Returns False if it has ended, and so cannot."""
        return self._job.extend(num_items)

    def withdraw(self) -> None:
        """Withdraw the job if it is not done."""
        self._engine.withdraw(self._job)

    def _wake(self, _: RowJob) -> None:
        if self._next_run is not None and not self._next_run.done():
            self._next_run.set_result(None)
