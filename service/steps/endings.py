"""How turns end: answered, refused, called off or late. One whose step another writer took begins again.

Whichever way one ends, its client is told once, and the session's next turn begins.
"""

import logging
from collections.abc import Callable, Sequence

from service.errors import ServiceError, StepConflict
from service.metrics import Metrics
from service.steps.open_turns import OpenTurns
from service.steps.reached import refusal_of
from service.steps.step_rules import MAX_ATTEMPTS, contended
from service.steps.turn import Answer, Turn, tell_nobody
from service.stores.base import Unavailable

logger = logging.getLogger(__name__)


class Endings:
    """Ends turns.

    Args:
        open_turns: Those that are under way.
        metrics: Counts conflicts.
        arrive: Takes up a turn that begins, or begins again.
    """

    def __init__(self, open_turns: OpenTurns, metrics: Metrics, arrive: Callable[[Turn], None]) -> None:
        self._open = open_turns
        self._metrics = metrics
        self._arrive = arrive

    def answer(self, turn: Turn, answer: Answer) -> None:
        """Answer a turn: what it is answered is committed."""
        turn.answer = answer
        self._close(turn)

    def fail(self, turn: Turn, error: Exception) -> None:
        """Refuse a turn, and stop what is computed for it."""
        if not isinstance(error, ServiceError):
            logger.error("a step failed", exc_info=error)
        if turn.is_over:
            return
        if isinstance(error, StepConflict):
            self._metrics.step_conflicts.inc()
        turn.error = error
        if turn.job is not None:
            turn.model.engine.withdraw(turn.job)
            turn.job = None
        if turn.task is not None:
            turn.task.cancel()
            turn.task = None
        self._close(turn)

    def fail_all(self, turns: Sequence[Turn], error: Exception) -> None:
        """Refuse turns for one reason."""
        if isinstance(error, Unavailable):
            error = refusal_of(error)
        for turn in turns:
            self.fail(turn, error)

    def time_out(self, turn: Turn) -> None:
        """Refuse a turn that has taken longer than it may."""
        self.fail(turn, self._open.too_late())

    def lose(self, turn: Turn, step: int, secret: bytes) -> None:
        """Another process took this step: look again. The same input finds the winner's answer, another a conflict.

        A session that has come to stand under the id meanwhile is not looked at.
        A stream has told its pieces: it may find the same answer, silently, but not begin another one behind them.

        Args:
            turn: Whose step.
            step: Its number.
            secret: Of the session that it was a step of.
        """
        turn.num_attempts += 1
        turn.is_committing = False
        if turn.ask.secret is None:
            turn.ask = turn.ask._replace(secret=secret)
        turn.values = None
        if turn.ask.is_streamed:
            if turn.ask.step is None:
                message = "another writer took this step while its answer was told; nothing was committed"
                self.fail(turn, StepConflict(message, step + 1))
                return
            turn.on_piece = tell_nobody
        if self._open.is_late(turn):  # nobody watches those that are committing
            self.time_out(turn)
        elif turn.num_attempts < MAX_ATTEMPTS:
            self._arrive(turn)
        else:
            self.fail(turn, contended(step + 1))

    def _close(self, turn: Turn) -> None:
        """Tell the client, and let the session's next turn begin."""
        following = self._open.close(turn)
        if following is not None:
            self._arrive(following)
        try:
            turn.done(turn)
        except Exception:  # whatever its owner stumbles over, the other turns must be told
            logger.exception("a step's owner failed")
