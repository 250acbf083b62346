"""When an engine starts a run, with how many rows, and on which thread. Knows no graph, clock or event loop.

While one batch runs, a second one of at least ENOUGH_ROWS is prepared, so that the thread finds it ready; a smaller one
waits for more rows. A run expected to take less than INLINE_SECONDS, or than LONE_INLINE_SECONDS if its row has the
engine to itself, happens on the event loop: it is not worth waking the thread.
"""

from service.engine.job import RowJob
from service.engine.scheduler import ENOUGH_ROWS, Batch, Lane

# Waking the thread and being woken by it costs about 60 µs, of which the event loop could use half. A longer run would
# leave no line of Python in the processor's cache, and the loop has several clients to serve.
INLINE_SECONDS = 100e-6
# A lone row's run delays nothing else, and takes half as long again in a thread on another processor.
LONE_INLINE_SECONDS = 1e-3


class RunPolicy:
    """Decides from the runs under way and the durations of earlier runs.

    Args:
        max_batch_rows: The largest number of rows in a run.
        may_run_inline: Whether runs may happen on the event loop at all.
    """

    def __init__(self, max_batch_rows: int, may_run_inline: bool) -> None:
        self._max_batch_rows = max_batch_rows
        self._may_run_inline = may_run_inline
        self._expected_seconds: dict[tuple[str, int, int], float] = {}  # by rung and number of rows
        self._num_running = 0

    def run_started(self) -> None:
        """Count a run that starts."""
        self._num_running += 1

    def run_ended(self) -> None:
        """Count a run that has ended."""
        self._num_running -= 1

    def learn(self, batch: Batch[RowJob], seconds: float, has_failed: bool = False) -> None:
        """Learn from a run's duration, by an exponential moving average with alpha = 1/8.

        A failed run only ever raises the average: how soon it failed does not tell how long the next one takes.
        """
        key = (*batch.lane, batch.num_rows)
        expected_seconds = self._expected_seconds.get(key, float("inf") if has_failed else seconds)
        if not has_failed or seconds > expected_seconds:
            self._expected_seconds[key] = expected_seconds * 0.875 + seconds * 0.125

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, so that any waiting rows should run now."""
        return not self._num_running

    def may_be_second(self, num_next: int) -> bool:
        """Whether to prepare `num_next` rows while a batch runs: only if they are enough for an efficient run."""
        return self._num_running == 1 and num_next >= ENOUGH_ROWS

    def num_rows(self, num_next: int) -> int | None:
        """Return how many of `num_next` waiting rows to put into a batch.

        Returns:
            Half of them if both halves are large enough: one half then runs while the other is answered. None for as
            many as fit.
        """
        return (num_next + 1) // 2 if self._can_be_halved(num_next) else None

    def num_jobs(self, num_rows: int) -> int:
        """Return how many jobs to divide rows of the same step into: two halves, or as few jobs as possible."""
        return 2 if self._can_be_halved(num_rows) else -(-num_rows // self._max_batch_rows)

    def runs_inline(self, batch: Batch[RowJob], is_alone: bool) -> bool:
        """Whether a run that starts now ends sooner on the event loop than in the thread.

        Args:
            batch: The rows of the run.
            is_alone: Whether its row has the engine to itself.
        """
        return not self._num_running and self.is_short(batch.lane, batch.num_rows, is_alone)

    def is_short(self, lane: Lane, num_rows: int, is_alone: bool) -> bool:
        """Whether a run is expected to be over sooner on the event loop than in the thread, if both are free."""
        expected_seconds = self._expected_seconds.get((*lane, num_rows), float("inf"))
        return self._may_run_inline and expected_seconds < (LONE_INLINE_SECONDS if is_alone else INLINE_SECONDS)

    def _can_be_halved(self, num_rows: int) -> bool:
        """Whether nothing runs, and the rows fit one run but are enough for two efficient ones."""
        return self.is_idle and 2 * ENOUGH_ROWS <= num_rows <= self._max_batch_rows
