"""Turns that are about to start: those that arrive at almost the same time start together.

Starting a turn keeps the event loop from everything else, so only some start at a time, and of many those of different
connections and requests first: who sends many in one must not make others wait for all of them.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from itertools import chain

from service.steps.open_turns import OpenTurns
from service.steps.turn import Turn

# With this many turns or more under way, new ones wait for others, for at most GATHER_SECONDS.
MIN_CROWD_TURNS = 8
GATHER_SECONDS = 0.0005
# How many steps in tensors, which start together, may start in one iteration of the event loop; others weigh more.
MAX_STARTED = 256
OTHERS_WEIGHT = 4


class Arrivals:
    """Gathers arriving turns and starts them together.

    Args:
        open_turns: All turns under way.
        start: Starts the gathered turns that are not over yet.
    """

    def __init__(self, open_turns: OpenTurns, start: Callable[[Sequence[Turn]], None]) -> None:
        self._open = open_turns
        self._start = start
        self._by_source: OrderedDict[Hashable, deque[Turn]] = OrderedDict()
        self._num_arrived = 0
        self._weight = 0
        self._gathering_since = 0.0

    def add(self, turn: Turn) -> None:
        """Start a turn together with all others that arrive in the same iteration of the event loop, or soon after."""
        if not self._num_arrived:
            self._gathering_since = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._gather)
        self._num_arrived += 1
        self._weight += _weight(turn)
        source = turn if turn.source is None else turn.source
        queue = self._by_source.get(source)
        if queue is None:
            queue = self._by_source[source] = deque()
        queue.append(turn)

    def _gather(self) -> None:
        """Start what has arrived, or wait a moment longer if many turns are under way, since more are then likely.

        A group costs a good part of a millisecond on top of its members, so small groups slow many clients down. The
        loop's timers have a resolution of a millisecond, so this checks again in the loop's next iteration instead.
        """
        is_crowd = len(self._open) >= MIN_CROWD_TURNS and self._num_arrived < len(self._open) // 2
        if is_crowd and time.perf_counter() - self._gathering_since < GATHER_SECONDS:
            asyncio.get_running_loop().call_soon(self._gather)
            return
        arrived = self._take()
        if self._num_arrived:
            asyncio.get_running_loop().call_soon(self._gather)
        self._start([turn for turn in arrived if not turn.is_over])

    def _take(self) -> list[Turn]:
        """Take as many turns out of the queues as may start, one of each source in turn."""
        if self._weight <= MAX_STARTED:
            taken = list(chain.from_iterable(self._by_source.values()))
            self._by_source.clear()
            self._num_arrived = self._weight = 0
            return taken
        taken = []
        least_weight = self._weight - MAX_STARTED
        while self._weight > least_weight:
            taken.append(self._take_one())
        return taken

    def _take_one(self) -> Turn:
        source, queue = self._by_source.popitem(last=False)
        turn = queue.popleft()
        if queue:
            self._by_source[source] = queue
        self._num_arrived -= 1
        self._weight -= _weight(turn)
        return turn


def _weight(turn: Turn) -> int:
    return 1 if turn.ask.is_in_tensors else OTHERS_WEIGHT
