"""Steps of sessions, exactly once and in order, many sessions at a time.

    ask ─► one turn per session ─► load ─► admit ─► compute ─► commit ─► answer
               (others wait)      batched            batched   batched

A turn starts in the first of these four ways that applies to it. A cached session is only a guess: if it has moved on
since, or if the cohort fails, the turn is retried from the store's record.

    in a cohort, from the cache     MIN_COHORT_TURNS or more like turns in tensors    Cohorts.start
    alone, from the cache           the next step, and not streamed                   _start_from_cache
    in a cohort, from the store     as the first, with the records just loaded        _join
    alone, from the store           all others                                        _start_all

Everything happens on the event loop except graph runs and calls to a remote store. Turns that arrive together are taken
together: their records are loaded in one call, their rows run together, and all turns that a run finishes are committed
in one call while the next run is under way. A step is acknowledged only after the store has it. A turn that is refused,
called off or lost to another writer is resolved alone.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from service.concurrency.waiting import run_now
from service.errors import DeadlineExceeded, ServiceError
from service.metrics import Metrics
from service.settings import SessionSettings
from service.steps.arrivals import Arrivals
from service.steps.cohorts import MIN_COHORT_TURNS, Cohorts
from service.steps.commits import Commits
from service.steps.computations import Computations
from service.steps.endings import Endings
from service.steps.open_turns import OpenTurns
from service.steps.session_cache import SessionCache
from service.steps.step_rules import StepRules
from service.steps.turn import Answer, Ask, Turn
from service.stores.base import Damaged, Record, Store
from service.stores.outage import or_unavailable
from service.tasks.models import Models
from service.tasks.task import SequenceModel

logger = logging.getLogger(__name__)

Stored = Mapping[Turn, Record | Damaged | None]


class Steps:
    """Takes steps.

    Args:
        store: Keeps the sessions' records.
        models: The served models.
        settings: Limits.
        metrics: Counts conflicts and replays.
        timeout_seconds: How long a step may take.
        cache: Sessions as this worker left them. Any other code that writes a session must remove it from here.
        bury_expired: Called with a record that has expired.
        spawn: Starts a task for calls to a store that is not immediate.
        earliest, latest: The wall clock, as early and as late as it may be: seconds since 1970.
    """

    def __init__(
        self,
        *,
        store: Store,
        models: Models,
        settings: SessionSettings,
        metrics: Metrics,
        timeout_seconds: float,
        cache: SessionCache,
        bury_expired: Callable[[Record], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        earliest: Callable[[], float],
        latest: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._store = store
        self._clock = earliest
        # An immediate store is called at once, any other in a task.
        self._run_store_call = run_now if store.is_immediate else spawn
        self._open = OpenTurns(timeout_seconds, lambda turn: self._endings.time_out(turn))
        self._arrivals = Arrivals(self._open, self._load_and_start)
        self._endings = Endings(self._open, metrics, self._arrivals.add)
        self._rules = StepRules(models, settings, bury_expired)
        self._cohorts = Cohorts(
            self._cache, models, store, self._endings, self._run_store_call, self._take_alone, latest
        )
        self._commits = Commits(
            self._open, self._rules, store, self._cache, self._endings, self._run_store_call, latest
        )
        self._computations = Computations(self._rules, self._commits, self._endings, metrics, self._take_alone)

    async def take(self, ask: Ask, started: float | None = None) -> Answer:
        """Take one step. If the task is cancelled, the step is called off.

        Args:
            ask: The client's request.
            started: When its time limit begins to run, by the performance counter. Defaults to now.

        Raises:
            StepConflict: The requested step is neither the next one nor a repetition of the last.
            SessionUnknown: The session never existed for this owner.
            SessionGone: The session is over.
            InvalidInput: The model cannot read the inputs.
            ServiceError: Any other refusal.
        """
        return (await self.turn_of(ask, started)).result()

    async def turn_of(self, ask: Ask, started: float | None = None) -> Turn:
        """Take one step and return its turn, which has either an answer or an error."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn = Turn(ask, lambda _: None if future.done() else future.set_result(None), started=started)
        self.submit(turn)
        try:
            await future
        except asyncio.CancelledError:
            self.call_off(turn)
            raise
        return turn

    def submit(self, turn: Turn) -> None:
        """Take a turn. Its `done` is called on the event loop; if the turn is refused, possibly before this returns."""
        try:
            starts_now = self._open.admit(turn)
        except ServiceError as error:
            self._endings.fail(turn, error)
            return
        if starts_now:
            self._arrivals.add(turn)

    def call_off(self, turn: Turn) -> None:
        """End a turn whose client has gone. Nothing is committed unless the commit is already under way."""
        if not turn.is_committing:
            self._endings.fail(turn, DeadlineExceeded("called off"))

    def is_under_way(self, session_id: str) -> bool:
        """Whether a step of the session is in flight in this process."""
        return self._open.holds(session_id)

    @property
    def is_idle(self) -> bool:
        """Whether no step is in flight."""
        return not self._open

    async def drain(self) -> None:
        """Refuse further steps, and wait until all in flight are over."""
        await self._open.drain()

    def _load_and_start(self, turns: Sequence[Turn]) -> None:
        self._run_store_call(self._load(turns))

    async def _load(self, turns: Sequence[Turn]) -> None:
        try:
            now = self._clock()
            alone: list[Turn] = []
            unknown: list[Turn] = []
            for turn in self._cohorts.start(turns, self._cache.find, now):
                (alone if self._start_from_cache(turn, now) else unknown).append(turn)
            if unknown:
                stored = await self._stored(unknown)
                others = self._join(stored, now)
                self._start_all(others, stored, now)
                alone += others
            self._submit_all(alone)
        except Exception as error:  # no turn must wait for its deadline
            self._endings.fail_all([turn for turn in turns if not turn.is_over and not turn.is_committing], error)

    def _start_from_cache(self, turn: Turn, now: float) -> bool:
        """Start a turn from the cache; the commit fails if the session has moved on since.

        A streamed turn never starts this way, since the pieces that it sends cannot be taken back.

        Returns:
            Whether the turn was started.
        """
        ask = turn.ask
        session = self._cache.pop(ask.session_id)
        if session is None or ask.step not in (None, session.record.step) or ask.is_streamed:
            return False
        try:
            self._rules.load_cached(turn, session.record, session.body, now)
            turn.is_guess = True
            self._computations.start(turn)
        except Exception as error:  # the turn is retried from the store's record
            if not isinstance(error, ServiceError):
                logger.exception("a step could not start from the cached session; loading it from the store")
            return False
        return True

    def _take_alone(self, turns: Sequence[Turn]) -> None:
        """Start turns one by one from the store's records, after their group has failed."""
        self._run_store_call(self._load_alone(turns))

    async def _load_alone(self, turns: Sequence[Turn]) -> None:
        now = self._clock()
        stored = await self._stored([turn for turn in turns if not turn.is_over])
        self._start_all(stored, stored, now)
        self._submit_all(stored)

    async def _stored(self, turns: Sequence[Turn]) -> Stored:
        """Load the records of some turns. If that fails, the turns fail, and nothing is returned."""
        try:
            records = await or_unavailable(self._store.load([turn.ask.session_id for turn in turns]))
            return dict(zip(turns, records, strict=True))
        except Exception as error:
            self._endings.fail_all(turns, error)
            return {}

    def _join(self, stored: Stored, now: float) -> list[Turn]:
        """Start cohorts of the turns whose stored records are alike, and return the other turns."""
        in_tensors = [turn for turn in stored if turn.ask.is_in_tensors and not turn.is_over]
        if len(in_tensors) < MIN_COHORT_TURNS:
            return list(stored)
        cached = {turn.ask.session_id: self._rules.as_cached(stored[turn]) for turn in in_tensors}
        return self._cohorts.start(list(stored), cached.get, now)

    def _start_all(self, turns: Iterable[Turn], stored: Stored, now: float) -> None:
        """Start turns one by one, each from its record."""
        for turn in turns:
            try:
                if not turn.is_over:
                    turn.is_guess = False
                    self._rules.load(turn, stored[turn], now)
                    self._computations.start(turn)
            except Exception as error:
                self._endings.fail(turn, error)

    def _submit_all(self, turns: Iterable[Turn]) -> None:
        """Hand the jobs of turns to the engines of their models, those of a model together."""
        by_model: dict[SequenceModel[Any], list[Turn]] = {}
        for turn in turns:
            if turn.job is not None:
                by_model.setdefault(turn.model, []).append(turn)
        for model, some in by_model.items():
            self._submit(model, some)

    def _submit(self, model: SequenceModel[Any], turns: Sequence[Turn]) -> None:
        """Hand jobs to the engine together, or one by one if its queue has no room for all of them."""
        try:
            model.engine.submit([turn.job for turn in turns if turn.job is not None], is_group=True)
        except Exception as error:
            for turn in turns:
                if len(turns) > 1 and isinstance(error, ServiceError):
                    self._submit(model, [turn])
                elif turn.job is not None:  # it has not run already
                    self._endings.fail(turn, error)
