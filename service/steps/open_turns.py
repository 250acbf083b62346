"""The turns under way: one per session runs while the others wait, and none takes longer than the time limit."""

import asyncio
import time
from collections.abc import Callable

from service.concurrency.deadline import deadline_exceeded
from service.errors import DeadlineExceeded, ShuttingDown, TooBusy
from service.steps.turn import Turn

MAX_WAITING_PER_SESSION = 256


class OpenTurns:
    """Turns that are not answered yet.

    Args:
        timeout_seconds: How long a turn may take.
        on_late: Called with each turn that has taken longer, unless it is committing.
    """

    def __init__(self, timeout_seconds: float, on_late: Callable[[Turn], None]) -> None:
        self._timeout_seconds = timeout_seconds
        self._on_late = on_late
        # For each session with a turn under way, the turns that wait for it.
        self._waiting: dict[str, list[Turn]] = {}
        self._open: dict[Turn, None] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._next_check = 0.0  # by the performance counter
        self._is_draining = False
        self._drained = asyncio.Event()  # set only while draining

    def __len__(self) -> int:
        return len(self._open)

    def holds(self, session_id: str) -> bool:
        """Whether a turn of the session is under way."""
        return session_id in self._waiting

    def admit(self, turn: Turn) -> bool:
        """Admit a turn.

        Returns:
            Whether it starts now. Otherwise it waits for earlier turns of its session.

        Raises:
            ShuttingDown: No more turns are admitted.
            TooBusy: Too many turns of the session are waiting.
        """
        session_id = turn.ask.session_id
        if self._is_draining:
            raise ShuttingDown
        waiting = self._waiting.get(session_id)
        if waiting is not None and len(waiting) >= MAX_WAITING_PER_SESSION:
            raise TooBusy(f"{len(waiting)} steps of this session are already waiting")
        self._open[turn] = None
        # A turn that had to wait for room started earlier than others, so it may end before them.
        if self._watch is None or self._ends(turn) < self._next_check:
            self._schedule_check(self._ends(turn))
        if waiting is not None:
            waiting.append(turn)
            return False
        self._waiting[session_id] = []
        return True

    def close(self, turn: Turn) -> Turn | None:
        """Remove a turn; one that was not admitted is ignored.

        Returns:
            The session's next turn, which starts now, or None if none was waiting for this one.
        """
        if turn not in self._open:
            return None
        del self._open[turn]
        if self._is_draining and not self._open:
            self._drained.set()
        session_id = turn.ask.session_id
        waiting = self._waiting[session_id]
        if turn in waiting:
            waiting.remove(turn)
        elif waiting:
            return waiting.pop(0)
        else:
            del self._waiting[session_id]
        return None

    async def drain(self) -> None:
        """Stop admitting turns, and wait until none is under way."""
        self._is_draining = True
        if self._open:
            await self._drained.wait()

    def is_late(self, turn: Turn) -> bool:
        """Whether a turn has taken longer than the time limit."""
        return self._ends(turn) <= time.perf_counter()

    def too_late(self) -> DeadlineExceeded:
        """Return the refusal of a late turn."""
        return deadline_exceeded(self._timeout_seconds)

    def _ends(self, turn: Turn) -> float:
        """Return when a turn becomes late, by the performance counter."""
        return turn.started + self._timeout_seconds

    def _schedule_check(self, when: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._next_check = when
        self._watch = asyncio.get_running_loop().call_later(when - time.perf_counter(), self._check_deadlines)

    def _check_deadlines(self) -> None:
        """Call `on_late` for late turns."""
        self._watch = None
        now = time.perf_counter()
        for turn in [turn for turn in self._open if self._ends(turn) <= now and not turn.is_committing]:
            self._on_late(turn)
        coming = [end for turn in self._open if (end := self._ends(turn)) > now]
        if coming:
            self._schedule_check(min(coming))
