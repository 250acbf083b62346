"""A worker's core, beneath its surfaces: steps and sessions over one store and one catalog.

The parts call each other only through a few callbacks, which are connected here.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from service.concurrency.open_answers import OpenAnswers
from service.metrics import Metrics
from service.process.wall_clock import WallClock
from service.sessions.burials import Burials
from service.sessions.checkpoints import Checkpoints
from service.sessions.graveyard import Graveyard
from service.sessions.housekeeping import Housekeeping
from service.sessions.openings import Openings
from service.sessions.sessions import Sessions
from service.sessions.transfers import Transfers
from service.sessions.transitions import Transitions
from service.settings import Settings
from service.steps.answer_room import AnswerRoom
from service.steps.session_cache import SessionCache
from service.steps.steps import Steps
from service.stores.measured import MeasuredStore
from service.tasks.models import Models


class Core:
    """The assembled parts.

    Attributes:
        steps: Takes steps.
        open_answers: Counts and limits everything else that is computed for clients.
        answer_room: Makes large answers wait for memory.
        sessions: Reads and ends live sessions.
        openings: Opens sessions.
        housekeeping: Ends overdue sessions, and makes room.
        transitions: Takes steps that read no input.
        transfers: Copies states to new sessions.

    Args:
        store: Keeps the sessions' records.
        models: The served models.
        settings: The settings of the process.
        metrics: Counts what happens.
        spawn: Starts work in the background.
        max_cached_sessions: Number of sessions whose latest state is cached.
        wall_clock: Tells the time. Sessions expire by its earliest reading, and are used at its latest.
    """

    def __init__(
        self,
        store: MeasuredStore,
        models: Models,
        settings: Settings,
        metrics: Metrics,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        max_cached_sessions: int,
        wall_clock: WallClock,
    ) -> None:
        earliest, latest = wall_clock.earliest, wall_clock.latest
        limits, timeout_seconds = settings.sessions, settings.server.request_timeout_seconds
        self.open_answers = OpenAnswers(timeout_seconds)
        self.answer_room = AnswerRoom(settings.server.max_answer_bytes, timeout_seconds, lambda: models.max_num_logits)
        # A step has a deadline of its own, up to its commit. Calls of a store that does not wait cannot be cancelled.
        timed = store if store.is_immediate else store.limited(timeout_seconds)
        cache = SessionCache(max_cached_sessions)
        invalidate = cache.pop
        graveyard = Graveyard(timed, metrics, limits.remember_ended_seconds, latest, invalidate)
        burials = Burials(graveyard, spawn)
        self.steps = Steps(
            store=store,
            models=models,
            settings=limits,
            metrics=metrics,
            timeout_seconds=timeout_seconds,
            cache=cache,
            bury_expired=burials.add,
            spawn=spawn,
            earliest=earliest,
            latest=latest,
        )
        self.sessions = Sessions(
            timed, limits.max_session_lifetime_seconds, graveyard, burials.add, invalidate, earliest
        )
        self.housekeeping = Housekeeping(
            timed, metrics, graveyard, limits.max_store_bytes, self.steps.is_under_way, earliest
        )
        self.openings = Openings(timed, models, limits, self.sessions, self.housekeeping, metrics, latest)
        checkpoints = Checkpoints(self.sessions, latest)
        self.transitions = Transitions(
            self.sessions, checkpoints, models, metrics, limits.max_checkpoints, self.open_answers, latest
        )
        self.transfers = Transfers(self.sessions, checkpoints, self.openings, models, limits, settings.export, latest)
