"""When an engine starts a run, of how many rows, and on which thread. Knows no graph, clock or loop.

While one batch runs a second one of at least ENOUGH_ROWS is prepared, so that the thread finds it ready; a smaller one
waits for more rows. A run that is shorter than waking a thread twice is done on the event loop, and so is a short one
of a row that has the engine to itself.
"""

from service.engine.job import RowJob
from service.engine.scheduler import ENOUGH_ROWS, Batch

# Waking the thread and being woken by it costs about 60 µs, of which the event loop could use half.
INLINE_SECONDS = 300e-6
# A single row's run has nothing to go on beside it, and takes half as long again on a processor that was not at it.
LONE_INLINE_SECONDS = 1e-3


class ExpectedDurations:
    """How long the run of a rung with so many rows takes, learnt from the runs that were made."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int, int], float] = {}

    def seconds(self, batch: Batch[RowJob]) -> float:
        """The expected duration; infinite for what was never run."""
        return self._seconds.get((*batch.lane, batch.num_rows), float("inf"))

    def learn(self, batch: Batch[RowJob], seconds: float) -> None:
        """Update the exponential moving average, alpha = 1/8."""
        key = (*batch.lane, batch.num_rows)
        self._seconds[key] = self._seconds.get(key, seconds) * 0.875 + seconds * 0.125


class Pace:
    """Decides by the runs that are under way, and by how long those before have taken.

    Args:
        max_batch_rows: Rows that share a run at most.
        may_run_inline: Whether a run may be done on the event loop at all.
    """

    def __init__(self, max_batch_rows: int, may_run_inline: bool) -> None:
        self._max_batch_rows = max_batch_rows
        self._may_run_inline = may_run_inline
        self._expected = ExpectedDurations()
        self._num_running = 0

    def run_started(self) -> None:
        """A run is under way."""
        self._num_running += 1

    def run_ended(self, batch: Batch[RowJob], seconds: float) -> None:
        """It is over, after so many seconds."""
        self._num_running -= 1
        self._expected.learn(batch, seconds)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, so that whatever waits should."""
        return not self._num_running

    def may_be_second(self, num_next: int) -> bool:
        """Whether so many rows should be prepared while one batch runs: only if they are as good as it gets."""
        return self._num_running == 1 and num_next >= ENOUGH_ROWS

    def num_rows(self, num_next: int) -> int | None:
        """How many of the rows that wait a batch should have; None for as many as fit.

        Half of them, where both halves are large enough, so that one runs while the other is taken apart and told.
        """
        return (num_next + 1) // 2 if self._can_be_halved(num_next) else None

    def num_jobs(self, num_rows: int) -> int:
        """How many wide jobs rows that go the same way should become: as few as runs can take, or two halves."""
        return 2 if self._can_be_halved(num_rows) else -(-num_rows // self._max_batch_rows)

    def is_for_the_loop(self, batch: Batch[RowJob], is_alone: bool) -> bool:
        """Whether the run that has just begun is over sooner if no thread is woken for it.

        Args:
            batch: What it runs.
            is_alone: Whether its row has the engine to itself.
        """
        if self._num_running > 1 or not self._may_run_inline:
            return False
        return self._expected.seconds(batch) < (LONE_INLINE_SECONDS if is_alone else INLINE_SECONDS)

    def _can_be_halved(self, num_rows: int) -> bool:
        """Whether nothing runs and rows that fit one run are enough for two."""
        return self.is_idle and 2 * ENOUGH_ROWS <= num_rows <= self._max_batch_rows
