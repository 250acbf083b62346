"""Which rung runs next, for which jobs: cellular batching without a clock, a tensor or asyncio.

A job is a row that has `remaining` items to go through one stage. Jobs that can share a run wait in one queue: all of a
stage whose lengths are cut exactly, since a cut may be made anywhere; those of the same rung where a rung covers what
remains. Every turn serves the queue whose head has waited for most turns, with the longest rung that the head can take
and that enough others can take too; a row that took a short one for company has its own the next time. So long prompts
and single steps never starve one another, and rows are many in every run (BatchMaker, Gao et al., EuroSys 2018).

    admit ─► queue ─► schedule ─► (the graph runs) ─► complete ─► queue again, or done
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from service.ladder import common_rung, covering_rung, exact_rung

# Rows from which on a run is no more efficient with more: a 2×256 LSTM's T=1 graph takes 80 µs for one row, 27 µs a
# row for 8, 20 for 16 and 19 for 64.
ENOUGH_ROWS = 16
# Rows looked at for what they have in common.
MAX_LOOKED_AT = 256


@dataclass(frozen=True)
class Ladder:
    """The rungs of one stage, and whether lengths are cut exactly or covered."""

    sizes: tuple[int, ...]
    is_exact: bool

    def rung(self, remaining: int) -> int:
        """Size of the rung that a job alone would take next."""
        return (exact_rung if self.is_exact else covering_rung)(remaining, self.sizes)


ANY = 0  # the size of a queue whose jobs may take any rung


class Lane(NamedTuple):
    """A rung of a stage: the jobs that run it together."""

    stage: str
    size: int


@dataclass(eq=False)
class Job:
    """A row on its way through one stage.

    Attributes:
        order: Its place in line, renewed at each turn.
        least_size: The shortest rung that it takes next: after one that it took short for the sake of company, its own.
    """

    stage: str
    remaining: int
    order: int = 0
    least_size: int = 0


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Batch(Generic[J]):
    """The jobs of one run of one rung."""

    lane: Lane
    jobs: tuple[J, ...]


class Scheduler(Generic[J]):
    """Queues of waiting jobs, bounded in all by `max_queue_rows`; a run takes at most `max_batch_rows`."""

    def __init__(self, ladders: Mapping[str, Ladder], max_batch_rows: int, max_queue_rows: int) -> None:
        self._ladders = ladders
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._queues: dict[Lane, dict[J, None]] = {}
        self._exact = {stage: Lane(stage, ANY) for stage, ladder in ladders.items() if ladder.is_exact}
        self._next_order = 0
        self.num_admitted = 0

    def can_admit(self, num_rows: int) -> bool:
        """Whether that many rows find room."""
        return self.num_admitted + num_rows <= self._max_queue_rows

    def admit(self, job: J) -> None:
        """Take in a job that has at least one item remaining; ask `can_admit` before."""
        self.num_admitted += 1
        self._enqueue(job)

    def withdraw(self, job: J) -> None:
        """Forget a waiting job. One that is running is left alone: `complete` will find it."""
        if not job.remaining:
            return
        key = self._queue_of(job)
        queue = self._queues.get(key, {})
        if job in queue:
            self._leave(key, queue, (job,))
            self.num_admitted -= 1

    @property
    def num_next(self) -> int:
        """Jobs in the queue that is served next."""
        return len(self._queues[self._next_queue()]) if self._queues else 0

    def schedule(self, max_rows: int | None = None) -> Batch[J] | None:
        """Take the next batch out of its queue, or None when nothing waits.

        Args:
            max_rows: Take fewer rows than a run may have.
        """
        if not self._queues:
            return None
        key = self._next_queue()
        queue = self._queues[key]
        size = key.size or self._shared_rung(key.stage, queue)
        limit = min(max_rows or self._max_batch_rows, self._max_batch_rows)
        if key.size:
            jobs = tuple(islice(queue, limit))
        else:
            fitting = (job for job in queue if job.least_size <= size <= job.remaining)
            jobs = tuple(islice(fitting, limit))
            self._make_up(key.stage, size, jobs)
        self._leave(key, queue, jobs)
        return Batch(Lane(key.stage, size), jobs)

    def complete(self, batch: Batch[J]) -> tuple[J, ...]:
        """Count a run: jobs with items left join a queue again; the others are returned as done."""
        done = []
        for job in batch.jobs:
            job.remaining = max(0, job.remaining - batch.lane.size)
            if job.remaining:
                self._enqueue(job)
            else:
                done.append(job)
        self.num_admitted -= len(done)
        return tuple(done)

    def drop(self, job: J) -> None:
        """Count a job out that was taken by `schedule` and will not be completed."""
        self.num_admitted -= 1
        job.remaining = 0

    def lane(self, job: J) -> Lane:
        """The rung that a job alone would take next."""
        return Lane(job.stage, self._ladders[job.stage].rung(job.remaining))

    def _shared_rung(self, stage: str, queue: Mapping[J, None]) -> int:
        spans = [(job.least_size, job.remaining) for job in islice(queue, MAX_LOOKED_AT)]
        return common_rung(spans, self._ladders[stage].sizes, min(ENOUGH_ROWS, self._max_batch_rows))

    def _make_up(self, stage: str, size: int, jobs: Iterable[J]) -> None:
        """Let jobs whose rung is shorter than it could be have their own the next time, so that none is held up."""
        ladder = self._ladders[stage]
        for job in jobs:
            is_short = job.remaining >= 2 * size and ladder.rung(job.remaining) > size
            job.least_size = ladder.rung(job.remaining - size) if is_short else 0

    def _next_queue(self) -> Lane:
        """The queue whose head has waited for most turns."""
        if len(self._queues) == 1:
            return next(iter(self._queues))
        return min(self._queues, key=lambda key: next(iter(self._queues[key])).order)

    def _queue_of(self, job: J) -> Lane:
        return self._exact.get(job.stage) or self.lane(job)

    def _enqueue(self, job: J) -> None:
        job.order = self._next_order
        self._next_order += 1
        key = self._exact.get(job.stage) or self.lane(job)
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = {job: None}
        else:
            queue[job] = None

    def _leave(self, key: Lane, queue: dict[J, None], jobs: tuple[J, ...]) -> None:
        if len(jobs) == len(queue):
            del self._queues[key]
            return
        for job in jobs:
            del queue[job]
