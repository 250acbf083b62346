"""Sessions that take a step together.

Steps in tensors, of as many items, of sessions that are alike and known as they stand, differ in nothing but numbers.
They go through the engine as one job of many rows and into the store as one group of records, so that what a step costs
in Python is paid once for all of them, and not once for each.

    turns ─► grouped by key ─► one job ─► (the graph runs) ─► one group of records ─► each is answered
                │                       │                               │
                └── unlike, or few ─────┴── refused, or failed ─────────┴── lost to another writer: each is taken alone
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from service.bundle.stage import ITEM_STAGE
from service.engine.job import RowJob
from service.engine.state import Array
from service.errors import ServiceError
from service.record.body import SECRET_AT
from service.record.body_columns import HEAD, next_heads
from service.record.digest import tensors_digests
from service.steps.endings import Endings
from service.steps.grouping import Candidates, CohortKey, Find, grouped
from service.steps.recent import GroupKey, Latest, Recent
from service.steps.turn import Answer, Returns, Turn
from service.stores.base import Store, Successors
from service.tasks.models import Models
from service.tasks.task import TensorModel, tensor_model

logger = logging.getLogger(__name__)

FEWEST = 8  # turns for which it pays


@dataclass(frozen=True)
class Cohort:
    """Turns that go together.

    Attributes:
        turns: N of them.
        latest: Their sessions.
        group_key: What those have in common.
        model: What they step on.
        values: Their items, int64 (N, T).
        returns: What each is answered.
    """

    turns: Sequence[Turn]
    latest: Sequence[Latest]
    group_key: GroupKey
    model: TensorModel[Any]
    values: Array
    returns: Returns


class Computed(NamedTuple):
    """What came of turns whose answers have the same length.

    Attributes:
        turns, latest: As of a cohort.
        digests: Of their inputs.
        answers: JSON.
        outputs: What is in the answers, (N, T); None where they are empty.
        rows: The next states, uint8 (N, R).
    """

    turns: Sequence[Turn]
    latest: Sequence[Latest]
    digests: Sequence[bytes]
    answers: Sequence[bytes]
    outputs: Array | None
    rows: NDArray[np.uint8]

    def part(self, indices: Sequence[int]) -> "Computed":
        """Some of them."""
        return Computed(
            [self.turns[index] for index in indices],
            [self.latest[index] for index in indices],
            [self.digests[index] for index in indices],
            [self.answers[index] for index in indices],
            None if self.outputs is None else self.outputs[indices],
            self.rows[indices],
        )


class Taker(Protocol):
    """Who takes turns that do not go together."""

    def go(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work with the store, which may wait."""

    def take_alone(self, turns: Sequence[Turn]) -> None:
        """Take turns one by one, each from what the store has."""


class Cohorts:
    """Takes the steps of sessions that are known to be alike.

    Args:
        recent: Remembers sessions as they stand.
        models: Those that are served.
        store: Keeps the records.
        taker: Takes what cannot go together, and does what waits.
        endings: Ends turns.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        recent: Recent,
        models: Models,
        store: Store,
        taker: Taker,
        endings: Endings,
        clock: Callable[[], float],
    ) -> None:
        self._recent = recent
        self._models = models
        self._store = store
        self._taker = taker
        self._endings = endings
        self._clock = clock

    def begin_known(self, turns: Sequence[Turn], now: float) -> list[Turn]:
        """Begin those turns that can go together by what is remembered of their sessions; see `begin`."""
        return self.begin(turns, self._recent.find, now) if self._recent else list(turns)

    def begin(self, turns: Sequence[Turn], find: Find, now: float) -> list[Turn]:
        """Begin those turns that can go together; the others, which are left as they are.

        Args:
            turns: Steps of different sessions.
            find: How a session stands, by its id; None where that is not known.
            now: Wall-clock seconds since 1970.
        """
        if len(turns) < FEWEST:
            return list(turns)
        alike, others = grouped(turns, find, self._models, now)
        for key, candidates in alike.items():
            others += self._begin_alike(key, candidates)
        return others

    def _begin_alike(self, key: CohortKey, candidates: Candidates) -> list[Turn]:
        """Begin turns that are alike, as many together as the engine likes; those that could not be begun."""
        try:
            model = tensor_model(self._models.on(key.group_key.bundle))
        except ServiceError:
            return candidates.turns
        if not model.engine.takes_wide_jobs:
            return candidates.turns
        N = len(candidates.turns)
        size = -(-N // model.engine.num_jobs(N))
        others: list[Turn] = []
        for start in range(0, N, size):
            some = candidates.part(start, start + size)
            if len(some.turns) < FEWEST or not self._start(key, model, some):
                others += some.turns
        return others

    def _start(self, key: CohortKey, model: TensorModel[Any], candidates: Candidates) -> bool:
        """Begin turns that are alike together; whether they could be."""
        try:
            returns = key.returns or ("logits" if model.has_logits else "none")
            if returns == "logits" or (returns == "argmax" and not model.has_logits):
                return False
            values = np.concatenate(candidates.values).reshape(len(candidates.turns), -1)
            model.check_tensors(values.reshape(-1))
            cohort = Cohort(candidates.turns, candidates.latest, key.group_key, model, values, returns)
            for turn in candidates.turns:
                self._recent.take(turn.ask.session_id)
                turn.model = model
            model.engine.submit([self._job(cohort)], is_group=True)
        except Exception as error:  # whatever it is, each is to be looked at alone before it is told
            if not isinstance(error, ServiceError):
                logger.exception("%d steps could not begin together", len(candidates.turns))
            known = zip(candidates.turns, candidates.latest, strict=True)
            self._recent.put_all({turn.ask.session_id: latest for turn, latest in known})
            return False
        return True

    def _job(self, cohort: Cohort) -> RowJob:
        return RowJob(
            ITEM_STAGE,
            cohort.values.shape[1],
            width=len(cohort.turns),
            row=b"".join([latest.row for latest in cohort.latest]),
            inputs={"x": cohort.values},
            keep=() if cohort.returns == "none" else (cohort.returns,),
            done=partial(self._ran, cohort),
        )

    def _ran(self, cohort: Cohort, job: RowJob) -> None:
        if job.error is not None:
            self._taker.take_alone(cohort.turns)
            return
        self._taker.go(self._commit(cohort, job))

    async def _commit(self, cohort: Cohort, job: RowJob) -> None:
        """Write what was computed, then remember and tell it."""
        for turn in cohort.turns:
            turn.is_committing = True
        try:
            computed = _computed(cohort, job)
            groups = [_successors(cohort, each, int(self._clock())) for each in computed]
            written = await self._store.advance(groups)
            for each, group, won in zip(computed, groups, written, strict=True):
                self._tell(each, group, won)
        except Exception as error:
            self._endings.fail_all([turn for turn in cohort.turns if turn.is_committing], error)

    def _tell(self, computed: Computed, group: Successors, won: Sequence[bool]) -> None:
        answer, lose, now = self._endings.answer, self._endings.lose, group.used_at
        heads, rows = _cut(group.heads[:, : HEAD.itemsize]), _cut(computed.rows)
        written: dict[str, Latest] = {}
        members = zip(computed.turns, computed.latest, won, heads, computed.answers, rows, strict=True)
        for index, (turn, latest, is_written, head, outputs, row) in enumerate(members):
            try:
                if not is_written:
                    lose(turn, latest.step, latest.head[SECRET_AT])
                    continue
                session_id = turn.ask.session_id
                latest.advance(now, head, outputs, row)
                written[session_id] = latest
                values = None if computed.outputs is None else computed.outputs[index]
                answer(turn, Answer(session_id, latest.step, outputs, values))
            except Exception as error:  # whatever one stumbles over, the others must be told
                self._endings.fail(turn, error)
        self._recent.put_all(written)


def _computed(cohort: Cohort, job: RowJob) -> list[Computed]:
    """What came of a cohort: those of its turns that are still waited for, by the length of their answers."""
    N, returns = len(cohort.turns), cohort.returns
    outputs = None if returns == "none" else cohort.model.engine.outputs_of(job)[returns]
    answers = [b"{}"] * N if outputs is None else [_json(returns, own) for own in outputs]
    whole = Computed(
        cohort.turns,
        cohort.latest,
        tensors_digests(cohort.values, returns),
        answers,
        outputs,
        np.frombuffer(job.row, np.uint8).reshape(N, -1),
    )
    by_length: dict[int, list[int]] = {}
    for index, (turn, answer) in enumerate(zip(cohort.turns, answers, strict=True)):
        if not turn.is_over:
            by_length.setdefault(len(answer), []).append(index)
    groups = list(by_length.values())
    return [whole] if len(groups) == 1 and len(groups[0]) == N else [whole.part(indices) for indices in groups]


def _json(name: str, values: Array) -> bytes:
    return orjson.dumps({name: values}, option=orjson.OPT_SERIALIZE_NUMPY)


def _successors(cohort: Cohort, computed: Computed, now: int) -> Successors:
    """The records that follow those of some members."""
    group_key, latest = cohort.group_key, computed.latest
    heads = next_heads(
        [each.head for each in latest],
        cohort.values.shape[1],
        computed.digests,
        computed.answers,
        [each.extra for each in latest],
    )
    session_ids = [turn.ask.session_id for turn in computed.turns]
    steps = [each.step + 1 for each in latest]
    return Successors(
        session_ids, steps, group_key.owner, group_key.bundle, now, group_key.ttl_seconds, heads, computed.rows
    )


def _cut(table: NDArray[np.uint8]) -> list[bytes]:
    """The rows of a table."""
    content, length = table.tobytes(), table.shape[1]
    return [content[start : start + length] for start in range(0, len(content), length)]
