"""Turns that are about to begin: those that come within the same moment begin together."""

import asyncio
import time
from collections.abc import Callable, Sequence

from service.steps.open_turns import OpenTurns
from service.steps.turn import Turn

# From so many turns under way on, new ones gather for a moment.
CROWD = 8
GATHER_SECONDS = 0.0005


class Arrivals:
    """Gathers turns.

    Args:
        open_turns: All that are under way, these among them.
        start: Starts those that have gathered and still wait for their answers.
    """

    def __init__(self, open_turns: OpenTurns, start: Callable[[Sequence[Turn]], None]) -> None:
        self._open = open_turns
        self._start = start
        self._arrived: list[Turn] = []
        self._gathering_since = 0.0

    def add(self, turn: Turn) -> None:
        """Let a turn begin, with all that arrive before the event loop comes round."""
        if not self._arrived:
            self._gathering_since = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._gather)
        self._arrived.append(turn)

    def _gather(self) -> None:
        """Begin what has arrived, unless many clients are about who may ask in the next moment.

        What a group costs besides its members is a good part of a millisecond, so small groups are what slows many
        clients down. Looking again at the next turn of the loop is finer than its timers, which count milliseconds.
        """
        is_crowd = len(self._open) >= CROWD and len(self._arrived) < len(self._open) // 2
        if is_crowd and time.perf_counter() - self._gathering_since < GATHER_SECONDS:
            asyncio.get_running_loop().call_soon(self._gather)
            return
        arrived, self._arrived = self._arrived, []
        self._start([turn for turn in arrived if not turn.is_over])
