"""Sessions that take a step together.

Steps in tensors of the same length, of sessions with the same group key, differ only in numbers. They go through the
engine as one job of many rows and into the store as one group of records, so Python's overhead is paid once for all of
them.

    turns ─► grouped by key ─► one job ─► (the graph runs) ─► one group of records ─► each is answered
                │                       │                               │
                └── unlike, or few ─────┴── refused, or failed ─────────┴── lost to another writer

Turns that leave on the way are taken alone, or in a later cohort.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import numpy as np

from service.engine.job import RowJob
from service.engine.state import row_bytes
from service.errors import ServiceError
from service.record.body import SECRET_AT
from service.record.body_columns import HEAD
from service.record.expiry import stored_second
from service.steps.cohort import Cohort, Computed
from service.steps.endings import Endings
from service.steps.grouping import CohortKey, Find, Member, grouped
from service.steps.session_cache import CachedSession, SessionCache
from service.steps.turn import Answer, Turn, returned
from service.stores.base import Store, SwapGroup
from service.stores.outage import or_unavailable
from service.tasks.models import Models
from service.tasks.task import TensorModel, tensor_model

logger = logging.getLogger(__name__)

MIN_COHORT_TURNS = 8  # turns that make a cohort worthwhile


class Cohorts:
    """Takes the steps of like sessions together.

    Args:
        cache: The sessions that were committed last.
        models: The served models.
        store: Keeps the records.
        endings: Ends turns.
        run_store_call: Runs work with the store, which may wait.
        take_alone: Retries turns one by one, each from the store's record.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        cache: SessionCache,
        models: Models,
        store: Store,
        endings: Endings,
        run_store_call: Callable[[Coroutine[Any, Any, None]], None],
        take_alone: Callable[[Sequence[Turn]], None],
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._models = models
        self._store = store
        self._endings = endings
        self._run_store_call = run_store_call
        self._take_alone = take_alone
        self._clock = clock

    def start(self, turns: Sequence[Turn], find: Find, now: float) -> list[Turn]:
        """Start the turns that can go together.

        Args:
            turns: Steps of different sessions.
            find: Returns a session by its id, as it was after its last step, or None if it is not known.
            now: Wall-clock seconds since 1970.

        Returns:
            The other turns, which are left as they are.
        """
        if len(turns) < MIN_COHORT_TURNS:
            return list(turns)
        groups, others = grouped(turns, find, self._models, now)
        for key, members in groups.items():
            others += self._start_group(key, members)
        return others

    def _start_group(self, key: CohortKey, members: Sequence[Member]) -> list[Turn]:
        """Start like turns, in as many cohorts as suit the engine.

        Returns:
            The turns that could not be started.
        """
        try:
            model = tensor_model(self._models.session_model_by_tag(key.group_key.bundle))
        except ServiceError:
            return [turn for turn, _, _ in members]
        if not model.engine.takes_wide_jobs:
            return [turn for turn, _, _ in members]
        size = -(-len(members) // model.engine.num_jobs(len(members)))
        others: list[Turn] = []
        for start in range(0, len(members), size):
            some = members[start : start + size]
            if len(some) < MIN_COHORT_TURNS or not self._start_cohort(key, model, some):
                others += [turn for turn, _, _ in some]
        return others

    def _start_cohort(self, key: CohortKey, model: TensorModel[Any], members: Sequence[Member]) -> bool:
        """Start turns as one cohort, and return whether they could be started."""
        try:
            returns = returned(key.returns, model)
            if returns == "logits" or (returns == "argmax" and not model.has_logits):
                return False
            turns, sessions, parts = zip(*members, strict=True)
            values = np.concatenate(parts).reshape(len(turns), -1)
            model.check_tensors(values.reshape(-1))
            cohort = Cohort(turns, sessions, key.group_key, model, values, returns)
            for turn in turns:
                self._cache.pop(turn.ask.session_id)
                turn.model = model
            model.engine.submit([cohort.job(partial(self._on_done, cohort))], is_group=True)
        except Exception as error:  # a turn may still succeed alone
            if not isinstance(error, ServiceError):
                logger.exception("%d steps could not start together; taking them one by one", len(members))
            self._cache.put_all({turn.ask.session_id: session for turn, session, _ in members})
            return False
        return True

    def _on_done(self, cohort: Cohort, job: RowJob) -> None:
        if job.error is not None:
            self._take_alone(cohort.turns)
            return
        self._run_store_call(self._commit(cohort, job))

    async def _commit(self, cohort: Cohort, job: RowJob) -> None:
        """Write the next records, remember the sessions and answer the turns."""
        for turn in cohort.turns:
            turn.is_committing = True
        try:
            computed = cohort.computed(job)
            groups = [cohort.swap_group(each, stored_second(self._clock())) for each in computed]
            written = await or_unavailable(self._store.advance(groups))
            for each, group, won in zip(computed, groups, written, strict=True):
                self._answer(each, group, won)
        except Exception as error:
            self._endings.fail_all([turn for turn in cohort.turns if turn.is_committing], error)

    def _answer(self, computed: Computed, group: SwapGroup, won: Sequence[bool]) -> None:
        answer, retry_lost, now = self._endings.answer, self._endings.retry_lost, group.used_at
        heads, rows = row_bytes(group.heads[:, : HEAD.itemsize]), row_bytes(computed.rows)
        written: dict[str, CachedSession] = {}
        members = zip(
            computed.turns, computed.sessions, won, group.ttl_seconds, heads, computed.answers, rows, strict=True
        )
        for index, (turn, session, is_written, ttl_seconds, head, outputs, row) in enumerate(members):
            try:
                if not is_written:
                    retry_lost(turn, session.step, session.head[SECRET_AT])
                    continue
                session_id = turn.ask.session_id
                session.advance(now, ttl_seconds, head, outputs, row)
                written[session_id] = session
                values = None if computed.outputs is None else computed.outputs[index]
                answer(turn, Answer(session_id, session.step, outputs, values))
            except Exception as error:  # one turn's failure must not keep the others from being answered
                self._endings.fail(turn, error)
        self._cache.put_all(written)
