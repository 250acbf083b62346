"""Turns that are about to start: those that arrive at almost the same time start together."""

import asyncio
import time
from collections.abc import Callable, Sequence

from service.steps.open_turns import OpenTurns
from service.steps.turn import Turn

# With this many turns or more under way, new ones wait for others, for at most GATHER_SECONDS.
MIN_CROWD_TURNS = 8
GATHER_SECONDS = 0.0005


class Arrivals:
    """Gathers arriving turns and starts them together.

    Args:
        open_turns: All turns under way.
        start: Starts the gathered turns that are not over yet.
    """

    def __init__(self, open_turns: OpenTurns, start: Callable[[Sequence[Turn]], None]) -> None:
        self._open = open_turns
        self._start = start
        self._arrived: list[Turn] = []
        self._gathering_since = 0.0

    def add(self, turn: Turn) -> None:
        """Start a turn together with all others that arrive in the same iteration of the event loop, or soon after."""
        if not self._arrived:
            self._gathering_since = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._gather)
        self._arrived.append(turn)

    def _gather(self) -> None:
        """Start what has arrived, or wait a moment longer if many turns are under way, since more are then likely.

        A group costs a good part of a millisecond on top of its members, so small groups slow many clients down. The
        loop's timers have a resolution of a millisecond, so this checks again in the loop's next iteration instead.
        """
        is_crowd = len(self._open) >= MIN_CROWD_TURNS and len(self._arrived) < len(self._open) // 2
        if is_crowd and time.perf_counter() - self._gathering_since < GATHER_SECONDS:
            asyncio.get_running_loop().call_soon(self._gather)
            return
        arrived, self._arrived = self._arrived, []
        self._start([turn for turn in arrived if not turn.is_over])
