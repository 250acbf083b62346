"""Rows of one sequence on their way through a stage: await all of them, or a single row run by run."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.engine.job import RowJob
from service.engine.state import Array, Inputs


class JobTaker(Protocol):
    """What RowsUnderWay and Runs need from an engine."""

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


class RowsUnderWay:
    """Rows of one sequence that are on their way.

    Args:
        engine: Admits the jobs, all or none.
        jobs: One for each row.

    Raises:
        QueueFull, ShuttingDown: The engine does not admit them.
    """

    def __init__(self, engine: JobTaker, jobs: Sequence[RowJob]) -> None:
        self._engine = engine
        self._jobs = jobs
        self._num_open = len(jobs)
        self._error: Exception | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for job in jobs:
            job.on_done = self._count
        engine.submit(jobs)

    async def finished(self) -> list[Advance]:
        """Wait for all rows. If the task is cancelled, the jobs are withdrawn.

        Returns:
            The result of each row.

        Raises:
            Exception: The first failure of a job.
        """
        try:
            await self._over
        finally:
            self.withdraw()
        if self._error is not None:
            raise self._error
        return [Advance(self._engine.outputs_of(job), job.row) for job in self._jobs]

    def withdraw(self) -> None:
        """Withdraw the unfinished jobs."""
        for job in self._jobs:
            self._engine.withdraw(job)

    def _count(self, job: RowJob) -> None:
        """Count a finished job."""
        self._num_open -= 1
        self._error = self._error or job.error
        if not self._over.done() and (self._error is not None or not self._num_open):
            self._over.set_result(None)


class Runs:
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
        self._num_told = 0
        self._news: asyncio.Future[None] | None = None
        job.rows = self._rows
        job.on_run = job.on_done = self._tell
        engine.submit([job])

    async def next(self) -> Advance:
        """Wait for the next run. There must be one left.

        Returns:
            The result of that run alone: a time axis is as long as its rung.

        Raises:
            Exception: The run failed.
        """
        job = self._job
        while self._num_told == len(self._rows):
            if job.error is not None:
                raise job.error
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        outputs, row = job.parts[self._num_told], self._rows[self._num_told]
        self._num_told += 1
        return Advance(outputs, row)

    def withdraw(self) -> None:
        """Withdraw the job if it is not done."""
        self._engine.withdraw(self._job)

    def _tell(self, _: RowJob) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
