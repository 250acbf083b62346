"""Background burials of sessions that a request has found expired."""

import logging
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any

from service.sessions.graveyard import BURIED_AT_ONCE, Graveyard
from service.stores.base import Record, Unavailable

logger = logging.getLogger(__name__)

MAX_WAITING = 1024  # as many sessions as one request may name


class Burials:
    """Buries sessions in the background, a few at a time.

    A store whose writes hang may still be readable, and a request for an expired session is refused at once, so each
    retry of a client could leave another burial waiting. Therefore each session waits once, and at most MAX_WAITING
    sessions wait. The next request or sweep finds the others, and those that could not be buried.

    Args:
        graveyard: Buries them.
        spawn: Starts work in the background.
    """

    def __init__(self, graveyard: Graveyard, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._graveyard = graveyard
        self._spawn = spawn
        self._waiting: dict[str, Record] = {}
        self._is_under_way = False

    def add(self, record: Record) -> None:
        """Bury an expired session in the background."""
        if len(self._waiting) >= MAX_WAITING:
            return
        self._waiting[record.session_id] = record
        if not self._is_under_way:
            self._spawn(self._bury())
            self._is_under_way = True

    async def _bury(self) -> None:
        try:
            while self._waiting:
                some = [self._waiting.pop(session_id) for session_id in list(islice(self._waiting, BURIED_AT_ONCE))]
                await self._graveyard.bury_all(some, "expired")
        except Unavailable as error:
            logger.warning("expired sessions could not be removed and will be tried again: %s", error)
        finally:
            self._waiting.clear()
            self._is_under_way = False
