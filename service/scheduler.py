"""Which rung runs next, for which jobs: cellular batching without a clock, a tensor or asyncio.

A job is a row that has `remaining` items to go through one stage. Jobs whose next rung is the same share a lane. Every
turn runs one lane, the one whose head has waited for most turns, so a long prompt takes one rung at a time and never
starves single steps (BatchMaker, Gao et al., EuroSys 2018).

    admit ─► lane ─► schedule ─► (the graph runs) ─► complete ─► lane again, or done
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

ChooseRung = Callable[[int, Sequence[int]], int]


@dataclass(frozen=True)
class Ladder:
    """The rungs of one stage and how a rung is chosen for what remains."""

    sizes: tuple[int, ...]
    choose: ChooseRung

    def rung(self, remaining: int) -> int:
        """Size of the rung that runs next for a job."""
        return self.choose(remaining, self.sizes)


class Lane(NamedTuple):
    """Jobs that can share a run: the same graph."""

    stage: str
    size: int


@dataclass(eq=False)
class Job:
    """A row on its way through one stage; `order` is its place in line, renewed at each turn."""

    stage: str
    remaining: int
    order: int = 0


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Batch(Generic[J]):
    """The jobs of one run of one rung."""

    lane: Lane
    jobs: tuple[J, ...]


class Scheduler(Generic[J]):
    """Lanes of waiting jobs, bounded in all by `max_queue_rows`; a run takes at most `max_batch_rows`."""

    def __init__(self, ladders: Mapping[str, Ladder], max_batch_rows: int, max_queue_rows: int) -> None:
        self._ladders = ladders
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._lanes: dict[Lane, dict[J, None]] = {}
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
        lane = self.lane(job)
        waiting = self._lanes.get(lane, {})
        if job in waiting:
            del waiting[job]
            if not waiting:
                del self._lanes[lane]
            self.num_admitted -= 1

    @property
    def is_next_full(self) -> bool:
        """Whether the next batch has all the rows that it may have, so that waiting longer would add none."""
        return bool(self._lanes) and len(self._lanes[self._next_lane()]) >= self._max_batch_rows

    def schedule(self) -> Batch[J] | None:
        """Take the next batch out of its lane, or None when nothing waits."""
        if not self._lanes:
            return None
        lane = self._next_lane()
        waiting = self._lanes[lane]
        if len(waiting) <= self._max_batch_rows:
            del self._lanes[lane]
            return Batch(lane, tuple(waiting))
        jobs = tuple(islice(waiting, self._max_batch_rows))
        for job in jobs:
            del waiting[job]
        return Batch(lane, jobs)

    def complete(self, batch: Batch[J]) -> tuple[J, ...]:
        """Count a run: jobs with items left join a lane again; the others are returned as done."""
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

    def _next_lane(self) -> Lane:
        """The lane whose head has waited for most turns."""
        if len(self._lanes) == 1:
            return next(iter(self._lanes))
        return min(self._lanes, key=lambda lane: next(iter(self._lanes[lane])).order)

    def lane(self, job: J) -> Lane:
        """Where a job belongs that has items remaining."""
        return Lane(job.stage, self._ladders[job.stage].rung(job.remaining))

    def _enqueue(self, job: J) -> None:
        job.order = self._next_order
        self._next_order += 1
        self._lanes.setdefault(self.lane(job), {})[job] = None
