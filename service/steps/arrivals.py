"""Turns that are about to start: those that arrive within the same moment start together."""

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
        open_turns: All turns under way.
        start: Starts the turns that have gathered and are not over yet.
    """

    def __init__(self, open_turns: OpenTurns, start: Callable[[Sequence[Turn]], None]) -> None:
        self._open = open_turns
        self._start = start
        self._arrived: list[Turn] = []
        self._gathering_since = 0.0

    def add(self, turn: Turn) -> None:
        """Start a turn together with all that arrive before the event loop comes round."""
        if not self._arrived:
            self._gathering_since = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._gather)
        self._arrived.append(turn)

    def _gather(self) -> None:
        """Start what has arrived, or wait a moment longer if many turns are under way, since more may arrive then.

        A group costs a good part of a millisecond besides what its members cost, so small groups slow many clients
        down. The loop's timers count milliseconds, so this looks again at the loop's next turn.
        """
        is_crowd = len(self._open) >= CROWD and len(self._arrived) < len(self._open) // 2
        if is_crowd and time.perf_counter() - self._gathering_since < GATHER_SECONDS:
            asyncio.get_running_loop().call_soon(self._gather)
            return
        arrived, self._arrived = self._arrived, []
        self._start([turn for turn in arrived if not turn.is_over])
