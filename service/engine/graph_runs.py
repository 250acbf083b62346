"""Runs in the graph thread: that of a batch, and those that follow it without waiting for the event loop."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from service.engine.graph_thread import timed
from service.engine.job import PreparedBatch
from service.engine.state import Array

Run = Callable[[PreparedBatch], list[Array]]
# Returns T of the run that follows another one at once, or None if the event loop shall decide what runs next.
NextRung = Callable[[PreparedBatch], int | None]


class RunResult(NamedTuple):
    """A run that is over.

    Attributes:
        prepared: What ran.
        waits: How long each row waited for it, in seconds.
        results: The graph's outputs, or why it failed.
        seconds: How long it took.
        is_last: Whether the thread has gone on to something else; otherwise the next run of the same jobs is under way.
    """

    prepared: PreparedBatch
    waits: Sequence[float]
    results: list[Array] | Exception
    seconds: float
    is_last: bool = True


def run_once(run: Run, prepared: PreparedBatch, waits: Sequence[float]) -> RunResult:
    """Run a batch once."""
    return RunResult(prepared, waits, *timed(lambda: run(prepared)))


def run_repeatedly(
    run: Run, prepared: PreparedBatch, waits: Sequence[float], next_rung: NextRung
) -> Iterator[RunResult]:
    """Run a batch, then the same jobs again for as long as `next_rung` says so."""
    while True:
        one = run_once(run, prepared, waits)
        following = _following(one, next_rung)
        if following is None:
            yield one
            return
        yield one._replace(is_last=False)
        prepared, waits = following, [0.0] * following.batch.num_rows


def _following(one: RunResult, next_rung: NextRung) -> PreparedBatch | None:
    if isinstance(one.results, Exception):
        return None
    try:
        rung = next_rung(one.prepared)
        return None if rung is None else one.prepared.following(rung, one.results)
    except Exception:  # the event loop prepares it again, and there a failure is that of the job
        return None
