"""How turns end: answered, refused, called off or late. A turn that lost its step to another writer starts again.

However a turn ends, its `done` is called once and the next turn of its session starts.
"""

import logging
from collections.abc import Callable, Sequence

from service.errors import ServiceError, StepConflict
from service.metrics import Metrics
from service.steps.open_turns import OpenTurns
from service.steps.step_rules import MAX_ATTEMPTS, contended
from service.steps.turn import Answer, Turn, ignore_piece

logger = logging.getLogger(__name__)


class Endings:
    """Ends turns.

    Args:
        open_turns: All turns under way.
        metrics: Counts conflicts.
        arrive: Called with a turn that starts, or starts again.
    """

    def __init__(self, open_turns: OpenTurns, metrics: Metrics, arrive: Callable[[Turn], None]) -> None:
        self._open = open_turns
        self._metrics = metrics
        self._arrive = arrive

    def answer(self, turn: Turn, answer: Answer) -> None:
        """Answer a turn. Its step must be committed."""
        turn.answer = answer
        self._close(turn)

    def fail(self, turn: Turn, error: Exception) -> None:
        """Refuse a turn and stop its computation. A turn that is over is left alone."""
        if not isinstance(error, ServiceError):
            what = "what follows the answer to a step" if turn.is_over else "a step"
            logger.error(
                "%s of session %s of owner %s failed", what, turn.ask.session_id, turn.ask.owner, exc_info=error
            )
        if turn.is_over:
            return
        if isinstance(error, StepConflict):
            self._metrics.step_conflicts.inc()
        turn.error = error.without_frames() if isinstance(error, ServiceError) else error
        if turn.job is not None:
            turn.model.engine.withdraw(turn.job)
            turn.job = None
        if turn.task is not None:
            turn.task.cancel()
            turn.task = None
        self._close(turn)

    def fail_all(self, turns: Sequence[Turn], error: Exception) -> None:
        """Refuse several turns for the same reason."""
        for turn in turns:
            self.fail(turn, error)

    def time_out(self, turn: Turn) -> None:
        """Refuse a late turn."""
        self.fail(turn, self._open.too_late())

    def retry_lost(self, turn: Turn, step: int, secret: bytes) -> None:
        """Restart a turn that lost its step to another writer: it then finds the winner's answer, or a conflict.

        The restarted turn accepts only the same session, not a newer one under the same id. A stream has already sent
        its pieces: it may still return the winner's answer to the same inputs, but must not take another step.

        Args:
            turn: The turn that lost its step.
            step: Number of that step.
            secret: The secret of the turn's session, 16 bytes.
        """
        turn.num_attempts += 1
        turn.is_committing = False
        turn.ask = turn.ask._replace(secret=secret)
        turn.values = None
        if turn.ask.is_streamed:
            if turn.ask.step is None:
                message = "another writer took this step while its answer was being streamed; nothing was committed"
                self.fail(turn, StepConflict(message, step + 1))
                return
            turn.on_piece = ignore_piece
        if self._open.is_late(turn):  # a turn that was committing is not timed out by OpenTurns
            self.time_out(turn)
        elif turn.num_attempts < MAX_ATTEMPTS:
            self._arrive(turn)
        else:
            self.fail(turn, contended(step + 1))

    def _close(self, turn: Turn) -> None:
        """Call the turn's `done`, and start the session's next turn."""
        following = self._open.close(turn)
        if following is not None:
            self._arrive(following)
        try:
            turn.end()
        except Exception:  # an owner's failure must not keep other turns from ending
            logger.exception("the callback of a step failed")
