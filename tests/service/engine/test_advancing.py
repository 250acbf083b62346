"""Rows of one sequence that are waited for together."""

import asyncio
from collections.abc import Sequence

import pytest

from service.engine.advancing import run_all
from service.engine.job import RowJob
from service.engine.state import Array

pytestmark = pytest.mark.anyio


class Taker:
    """Takes jobs, and notes those that are withdrawn."""

    def __init__(self) -> None:
        self.withdrawn: list[RowJob] = []

    def submit(self, jobs: Sequence[RowJob]) -> None:
        pass

    def withdraw(self, job: RowJob) -> None:
        self.withdrawn.append(job)

    def outputs_of(self, job: RowJob) -> dict[str, Array]:
        return {}


async def test_a_failure_is_told_though_other_rows_are_done_in_the_same_turn() -> None:
    jobs = [RowJob("encode", 1), RowJob("encode", 1)]
    advancing = asyncio.create_task(run_all(Taker(), jobs))
    await asyncio.sleep(0)
    jobs[0].error = ValueError("the first row")
    for job in jobs:
        job.on_done(job)
    with pytest.raises(ValueError, match="the first row"):
        await advancing


async def test_the_first_failure_is_told_at_once_and_the_other_rows_are_withdrawn() -> None:
    taker, jobs = Taker(), [RowJob("encode", 1), RowJob("encode", 1)]
    advancing = asyncio.create_task(run_all(taker, jobs))
    await asyncio.sleep(0)
    jobs[1].error = ValueError("the second row")
    jobs[1].on_done(jobs[1])
    with pytest.raises(ValueError, match="the second row"):
        await advancing
    assert jobs[0] in taker.withdrawn
