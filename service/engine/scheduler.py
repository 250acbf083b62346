"""Which rung runs next, for which jobs: cellular batching without a clock, a tensor or asyncio.

A job is a row, or several rows that go together, with `remaining` items to go through one stage. Jobs that can share a
run wait in one queue: a stage that cuts lengths exactly has a single queue, since sequences may be cut anywhere; one
whose rungs cover lengths has a queue per rung. Each `schedule` serves the queue whose first job joined earliest, with
the longest rung that this job and enough others can take. A job that took a shorter rung than its own N times takes one
of more than N items the next time. So long prompts and single steps never starve one another, and runs have many rows
(BatchMaker, Gao et al., EuroSys 2018).

    admit ─► queue ─► schedule ─► (the graph runs) ─► complete ─► queue again, or done
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from service.engine.ladder import Ladder, common_rung, covering_rung

# More rows than this make a run no more efficient: a 2×256 LSTM's T=1 graph takes 80 µs for one row, 27 µs a row for 8,
# 20 for 16 and 19 for 64.
ENOUGH_ROWS = 16
# The number of rows considered when choosing a rung.
MAX_LOOKED_AT = 256


ANY = 0  # in place of a rung, for a queue whose jobs may take any rung


class Lane(NamedTuple):
    """A rung of a stage, or all of its rungs if `rung` is ANY."""

    stage: str
    rung: int


@dataclass(eq=False)
class Job:
    """A row on its way through one stage, or `width` rows with the same number of items each.

    Attributes:
        stage: Name of the stage.
        remaining: Items not consumed yet, per row.
        order: Its place in line, renewed whenever it joins a queue.
        least_rung: The shortest rung that it may take next, if it last took a shorter one than its own to share a run.
        num_short: How often it has ever taken a shorter rung than its own.
        width: Number of rows.
    """

    stage: str
    remaining: int
    order: int = 0
    least_rung: int = 0
    num_short: int = 0
    width: int = 1


J = TypeVar("J", bound=Job)


@dataclass
class Batch(Generic[J]):
    """The jobs of one run of one rung, and the number of their rows."""

    lane: Lane
    jobs: tuple[J, ...]
    num_rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_rows = num_rows(self.jobs)


class Queue(Generic[J]):
    """Jobs in line, and their number of rows."""

    def __init__(self) -> None:
        self.jobs: dict[J, None] = {}
        self.num_rows = 0

    def add(self, job: J) -> None:
        """Add a job at the end."""
        self.jobs[job] = None
        self.num_rows += job.width

    def remove(self, job: J) -> None:
        """Remove a job."""
        del self.jobs[job]
        self.num_rows -= job.width


class Scheduler(Generic[J]):
    """Queues of waiting jobs.

    Attributes:
        num_admitted: Rows that are waiting or running.

    Args:
        ladders: The ladder of each stage.
        max_batch_rows: The largest number of rows in a run, except for a single job that is wider.
        max_queue_rows: The largest number of rows waiting or running.
    """

    def __init__(self, ladders: Mapping[str, Ladder], max_batch_rows: int, max_queue_rows: int) -> None:
        self._ladders = ladders
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._queues: dict[Lane, Queue[J]] = {}
        self._exact = {stage: Lane(stage, ANY) for stage, ladder in ladders.items() if ladder.is_exact}
        self._next_order = 0
        self.num_admitted = 0

    def can_admit(self, num_rows: int) -> bool:
        """Whether there is room for that many rows."""
        return self.num_admitted + num_rows <= self._max_queue_rows

    def admit(self, job: J) -> None:
        """Admit a job that has at least one item remaining. Ask `can_admit` first."""
        self._enqueue(job)
        self.num_admitted += job.width

    def withdraw(self, job: J) -> None:
        """Drop a waiting job. A running one is left to `complete`."""
        key = self._queue_of(job)
        queue = self._queues.get(key)
        if queue is not None and job in queue.jobs:
            self._leave(key, queue, (job,))
            self.num_admitted -= job.width

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._queues

    @property
    def num_next(self) -> int:
        """The number of rows in the queue that is served next."""
        return self._queues[self._next_queue()].num_rows if self._queues else 0

    def schedule(self, max_rows: int | None = None) -> Batch[J] | None:
        """Take the next batch out of its queue.

        Args:
            max_rows: The most rows to take, at most `max_batch_rows`, unless the first job alone has more. None for
                `max_batch_rows`.

        Returns:
            The batch, or None if nothing waits.
        """
        if not self._queues:
            return None
        key = self._next_queue()
        queue = self._queues[key]
        if len(queue.jobs) == 1:
            return self._schedule_lone(key, queue)
        rung = key.rung or self._shared_rung(key.stage, queue.jobs)
        limit = max_rows or self._max_batch_rows
        if key.rung:
            jobs = _first(queue.jobs, limit)
        else:
            jobs = _first((job for job in queue.jobs if job.least_rung <= rung <= job.remaining), limit)
            self._reserve(key.stage, rung, jobs)
        self._leave(key, queue, jobs)
        return Batch(Lane(key.stage, rung), jobs)

    def _schedule_lone(self, key: Lane, queue: Queue[J]) -> Batch[J]:
        """Take the only job of a queue, at its own rung."""
        (job,) = queue.jobs
        job.least_rung = 0
        del self._queues[key]
        return Batch(key if key.rung else self.lane(job), (job,))

    def count(self, batch: Batch[J]) -> None:
        """Count a run whose jobs go on at once."""
        for job in batch.jobs:
            job.remaining = max(0, job.remaining - batch.lane.rung)

    def complete(self, batch: Batch[J]) -> tuple[J, ...]:
        """Count a run. Jobs with items left join a queue again.

        Returns:
            The other jobs, which are done.
        """
        self.count(batch)
        done = []
        for job in batch.jobs:
            if job.remaining:
                self._enqueue(job)
            else:
                done.append(job)
        self.num_admitted -= num_rows(done)
        return tuple(done)

    def drop(self, job: J) -> None:
        """Drop a job that `schedule` returned and that will not be completed."""
        self.num_admitted -= job.width

    def lane(self, job: J) -> Lane:
        """Return the rung that a job would take next if it were alone."""
        return Lane(job.stage, self.rung(job.stage, job.remaining))

    def rung(self, stage: str, remaining: int) -> int:
        """Return the rung that a job with this many items remaining would take if it were alone."""
        return self._ladders[stage].rung(remaining)

    def _shared_rung(self, stage: str, queue: Mapping[J, None]) -> int:
        # More than ENOUGH_ROWS rows of one job would change nothing.
        rows = ((job.least_rung, job.remaining) for job in queue for _ in range(min(job.width, ENOUGH_ROWS)))
        return common_rung(
            list(islice(rows, MAX_LOOKED_AT)), self._ladders[stage].rungs, min(ENOUGH_ROWS, self._max_batch_rows)
        )

    def _reserve(self, stage: str, rung: int, jobs: Iterable[J]) -> None:
        """Reserve a longer rung next time for a job that got a shorter one than its own, so that none falls behind.

        Its own rung at once would break up batches of texts: an eighth fewer of SST's lengths a second, for runs of a
        row or two. Among single steps it gets its own at once all the same, since others can take none in between.
        """
        ladder = self._ladders[stage]
        for job in jobs:
            job.least_rung = 0
            if ladder.rung(job.remaining) > rung:
                job.num_short += 1
                job.least_rung = covering_rung(job.num_short + 1, ladder.rungs)

    def _next_queue(self) -> Lane:
        """Return the queue whose first job joined earliest."""
        if len(self._queues) == 1:
            return next(iter(self._queues))
        return min(self._queues, key=lambda key: next(iter(self._queues[key].jobs)).order)

    def _queue_of(self, job: J) -> Lane:
        return self._exact.get(job.stage) or self.lane(job)

    def _enqueue(self, job: J) -> None:
        if job.least_rung:  # perhaps more items than it has left
            job.least_rung = min(job.least_rung, self.rung(job.stage, job.remaining))
        job.order = self._next_order
        self._next_order += 1
        key = self._queue_of(job)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue()
        queue.add(job)

    def _leave(self, key: Lane, queue: Queue[J], jobs: tuple[J, ...]) -> None:
        if len(jobs) == len(queue.jobs):
            del self._queues[key]
            return
        for job in jobs:
            queue.remove(job)


def num_rows(jobs: Iterable[Job]) -> int:
    """Return the number of rows of some jobs."""
    return sum([job.width for job in jobs])


def _first(jobs: Iterable[J], max_rows: int) -> tuple[J, ...]:
    """Return the first jobs that together have at most `max_rows` rows, but always at least one job."""
    taken: list[J] = []
    left = max_rows
    for job in jobs:
        left -= job.width
        if left < 0 and taken:
            break
        taken.append(job)
        if left <= 0:
            break
    return tuple(taken)
