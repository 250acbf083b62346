"""Group commit: writes that arrive while a transaction is being synced share the next one."""

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from lmdb import Transaction

from service.stores.base import Full
from service.stores.lmdb.disk_room import DiskShort
from service.stores.lmdb.tables import Tables

Result = TypeVar("Result")
Work = Callable[[Tables, "Transaction[bytes]"], Result]


class _Job(NamedTuple):
    work: Work[Any]
    future: "asyncio.Future[Any]"


class GroupCommit:
    """A thread that commits writes in groups.

    Args:
        commit: Does some work in one transaction and commits it, or raises without having changed anything.
    """

    def __init__(self, commit: Callable[[Work[list[object]]], list[object]]) -> None:
        self._commit = commit
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, work: Work[Result]) -> Result:
        """Return what `work` returns, once it is on the disk. `work` must not raise after it has written."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="group-commit", daemon=True)
            self._thread.start()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(work, future))
        return await future

    async def close(self) -> None:
        """Commit all submitted work, then stop."""
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs, goes_on = self._with_those_waiting(job)
            _answer(jobs, self._outcomes(jobs))
            if not goes_on:
                return

    def _with_those_waiting(self, job: _Job) -> tuple[list[_Job], bool]:
        jobs = [job]
        while True:
            try:
                following = self._jobs.get_nowait()
            except Empty:
                return jobs, True
            if following is None:
                return jobs, False
            jobs.append(following)

    def _outcomes(self, jobs: list[_Job]) -> list[object]:
        """Return what each job returned or raised; if the commit failed, its error for every job."""
        try:
            return self._commit(lambda tables, txn: [_outcome(job, tables, txn) for job in jobs])
        except Exception as error:  # whatever it is, the jobs' futures must be resolved
            return [error] * len(jobs)


def _outcome(job: _Job, tables: Tables, txn: "Transaction[bytes]") -> object:
    try:
        return job.work(tables, txn)
    except (DiskShort, Full, ValueError) as refusal:
        return refusal


def _answer(jobs: list[_Job], outcomes: list[object]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        loop = job.future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, job.future, outcome)


def _resolve(future: "asyncio.Future[Any]", outcome: object) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
