"""What a worker is beneath its surfaces: steps, sessions and all that befalls them, over one store and one catalog.

They know one another by a few functions only, which are crossed here.
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from service.catalog import Catalog
from service.metrics import Metrics
from service.sessions.checkpoints import Checkpoints
from service.sessions.graveyard import Graveyard
from service.sessions.housekeeping import Housekeeping
from service.sessions.openings import Openings
from service.sessions.sessions import Sessions
from service.sessions.transfers import Transfers
from service.sessions.transitions import Transitions
from service.settings import SessionSettings
from service.steps.steps import Steps
from service.stores.base import Store


class Core:
    """The parts, put together.

    Attributes:
        steps: Takes steps.
        sessions: Tells of and ends those that live.
        openings: Opens sessions.
        housekeeping: Buries the overdue, and makes room.
        transitions: Takes steps that read no input.
        transfers: Takes states to new sessions.

    Args:
        store: Keeps the sessions' records.
        catalog: What is served.
        settings: Limits.
        metrics: Counts.
        timeout_seconds: How long a step may take.
        export_key: Signs exports; empty where they are not allowed.
        spawn: Starts work that nobody waits for.
        max_recent: Sessions whose latest state is kept at hand.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        settings: SessionSettings,
        metrics: Metrics,
        timeout_seconds: float,
        export_key: bytes,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        max_recent: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.steps = Steps(
            store,
            catalog,
            settings,
            metrics,
            timeout_seconds,
            lambda record: spawn(self.sessions.bury_expired(record)),
            clock,
            max_recent,
        )
        moved = self.steps.forget
        graveyard = Graveyard(store, metrics, settings.remember_ended_seconds, clock, moved)
        self.sessions = Sessions(store, settings.max_session_lifetime_seconds, graveyard, moved, clock)
        self.housekeeping = Housekeeping(
            store, metrics, graveyard, settings.max_store_bytes, self.steps.is_under_way, clock
        )
        self.openings = Openings(store, catalog, settings, self.sessions, self.housekeeping, clock)
        checkpoints = Checkpoints(self.sessions, settings.max_session_lifetime_seconds, clock)
        self.transitions = Transitions(
            self.sessions, checkpoints, catalog, settings.max_checkpoints, timeout_seconds, clock
        )
        self.transfers = Transfers(self.sessions, checkpoints, self.openings, catalog, settings, export_key, clock)
