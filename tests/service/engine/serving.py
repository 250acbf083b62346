"""Engines that serve sums, and jobs for them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.job import RowJob
from tests.fakes.graphs import LAYOUT, RecordingObserver, SumGraphs, total_of

FRESH = LAYOUT.initial


@asynccontextmanager
async def serving(
    graphs: SumGraphs, max_batch_rows: int = 8, max_queue_rows: int = 100, max_wait_seconds: float = 0.0
) -> AsyncIterator[Engine]:
    engine = Engine(graphs, RecordingObserver(), max_batch_rows, max_queue_rows, max_wait_seconds)
    engine.start()
    try:
        yield engine
    finally:
        graphs.gate.set()
        await engine.stop()


async def total(engine: Engine, *items: int) -> int:
    advance = await engine.advance("encode", FRESH, {"x": np.array(items)}, len(items))
    return total_of(advance.row)


def job(*items: int, keep: tuple[str, ...] = ()) -> RowJob:
    return RowJob("encode", len(items), row=FRESH, inputs={"x": np.array(items)}, keep=keep)


def wide(*rows: Sequence[int], keep: tuple[str, ...] = ()) -> RowJob:
    """A job of as many rows as there are sequences of items, all as long."""
    return RowJob(
        "encode", len(rows[0]), width=len(rows), row=FRESH * len(rows), inputs={"x": np.array(rows)}, keep=keep
    )


async def run(engine: Engine, *jobs: RowJob) -> None:
    """Let jobs go through the engine together."""
    left, done = len(jobs), asyncio.Event()

    def told(_: RowJob) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    for each in jobs:
        each.on_done = told
    engine.submit(jobs, is_group=True)
    async with asyncio.timeout(10):
        await done.wait()


def totals(job: RowJob) -> list[int]:
    """What the rows of a job have summed up."""
    length = len(FRESH)
    return [total_of(job.row[start : start + length]) for start in range(0, len(job.row), length)]


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


class FailsOnce:
    """In place of a method, for which there is no memory the first time."""

    def __init__(self, owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has_failed = False
        method = getattr(owner, name)

        def fail_once(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any method's
            if not self.has_failed:
                self.has_failed = True
                raise MemoryError("of ours")
            return method(*args, **kwargs)

        monkeypatch.setattr(owner, name, fail_once)
