"""A session, as one user drives it."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import gevent
from locust.runners import STATE_CLEANUP

from loadtest.answers import Answer, Continuation, EmptyAnswer, ItemAnswer, Problem, SessionView, StepAnswer
from loadtest.checks.problem import check_problem
from loadtest.checks.session import (
    check_conflict,
    check_gone,
    check_item,
    check_opened,
    check_replay,
    check_step,
    check_view,
)
from loadtest.pace import pause_of
from loadtest.question import Question, WrongReply, json_body
from loadtest.text_stream import stream_step
from loadtest.users.checked import CheckedUser, Refused

logger = logging.getLogger(__name__)

A = TypeVar("A", bound=Answer)
O = TypeVar("O")  # noqa: E741  outputs of a step

PATH = "/sessions"
NAME = "/sessions/{id}"
STEPS_NAME = f"{NAME}/steps"
TTL_SECONDS = 600
LEAVE_SECONDS = 2  # a user goes on then; the session ends with the run
CLOSE_SECONDS = 10
NUM_CLOSING = 50
SECONDS_A_SESSION = 0.01  # of a service under load
OVER = (204, 404, 410)
DISTURBANCE = 0.2
WITHOUT_NUMBER_SHARE = 0.1
# Inputs that users of each kind never send otherwise.
OTHER_INPUTS: dict[str, dict[str, Any]] = {
    "sentiment": {"text": "Something else."},
    "generation": {"text": "Something else."},
    "forecasting": {"horizon": 1, "quantiles": [0.3]},
    "tagging": {"text": "Something else."},
}


# Sessions of all users of this process that may be live.
_open: set["Session"] = set()


class Session:
    """Opens a session, counts its steps, and checks that the service counts the same.

    It is a context manager: whatever ends the task, or the user, ends the session.

    Args:
        user: The user that asks the questions.
        model: Name of the served model.
    """

    def __init__(self, user: CheckedUser, model: str) -> None:
        self._user = user
        self._model = model
        body = json_body({"model": model, "ttl_seconds": TTL_SECONDS + int(2 * pause_of(user.environment))})
        key = {"Idempotency-Key": uuid4().hex}  # finds the session again if its opening is interrupted
        self._opening = Question(SessionView, "POST", PATH, f"{PATH} ({model})", body, 201, headers=key)
        self._id = ""
        self._next_step = 0

    def __enter__(self) -> Self:
        _open.add(self)
        try:
            self._id = self._user.ask(self._opening, lambda view: check_opened(view, self._model)).session_id
        except Refused:
            _open.discard(self)
            raise
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def close(self, seconds: float) -> None:
        """End the session, uncounted, unless it is over. If this fails in time, `close_sessions` tries again."""
        if self not in _open:
            return
        with gevent.Timeout(seconds, False):
            try:
                self._id = self._id or self._opening.read(self._user.reply(self._opening)).session_id
                status = self._user.reply(self._question(EmptyAnswer, "DELETE", 204)).status
            except WrongReply:
                return
            if status in OVER:
                _open.discard(self)

    def step(self, form: type[StepAnswer[O]], inputs: dict[str, Any], check: Callable[[O], str | None]) -> O:
        """Take a step, usually with its number, and check its outputs."""
        return self._take(self._step_question(form, self._number(), inputs), inputs, check)

    def stream(self, inputs: dict[str, Any], check: Callable[[Continuation], str | None]) -> Continuation:
        """Take a step that generates, have its text streamed, and check it."""
        body = _step_body(self._number(), inputs)
        return self._take(stream_step(self._steps_path, STEPS_NAME, body), inputs, check)

    def item(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the next step as one of many."""
        return {"session_id": self._id, **_step_body(self._next_step, inputs)}

    def check_item(self, answer: ItemAnswer[O], check: Callable[[O], str | None]) -> str | None:
        """Check the answer to the next step, and its outputs."""
        if failure := check_item(answer, self._id, self._next_step):
            return failure
        return check(answer.outputs) if answer.outputs is not None else "item: no outputs"

    def advance(self) -> None:
        """Count the next step, which was taken as one of many."""
        self._next_step += 1

    def refuse(self, inputs: dict[str, Any]) -> None:
        """Send a step with inputs that must be refused."""
        question = self._step_question(Problem, self._next_step, inputs, "wrong inputs", 422)
        self._user.ask(question, lambda problem: check_problem(problem, 422))

    def look(self) -> None:
        """Check that the session is as its answers left it."""
        self._user.ask(
            self._question(SessionView, "GET"), lambda view: check_view(view, self._id, self._model, self._next_step)
        )

    def end(self) -> None:
        """End the session, and check that it is gone."""
        self._user.ask(self._question(EmptyAnswer, "DELETE", 204))
        _open.discard(self)
        self._user.ask(self._question(Problem, "GET", 410), check_gone)
        self._user.ask(self._step_question(Problem, self._next_step, {"text": "More."}, "ended", 410), check_gone)

    def _leave(self) -> None:
        """End the session at once, unless all users are being stopped: `close_sessions` then ends all of theirs."""
        runner = self._user.environment.runner
        if runner is None or runner.state != STATE_CLEANUP:
            self.close(LEAVE_SECONDS)

    def _take(self, question: Question[StepAnswer[O]], inputs: dict[str, Any], check: Callable[[O], str | None]) -> O:
        if self._next_step:
            self._user.pause()
        answer = self._user.ask(
            question,
            lambda answer: check_step(answer, self._id, self._next_step),
            lambda answer: check(answer.outputs),
        )
        self._next_step += 1
        if self._user.rng.random() < DISTURBANCE:
            self._disturb(question.form, inputs, answer)
        return answer.outputs

    def _number(self) -> int | None:
        """Return the number of the next step. Now and then none, as a client may leave it out."""
        return None if self._user.rng.random() < WITHOUT_NUMBER_SHARE else self._next_step

    def _disturb(self, form: type[StepAnswer[O]], inputs: dict[str, Any], last: StepAnswer[O]) -> None:
        """Act like a client with a bad connection or a wrong count. This must not change the session."""
        action = self._user.rng.randrange(4)
        if action == 0:
            self.look()
        elif action == 1:
            again = self._step_question(form, self._next_step - 1, inputs, f"{self._model}, again")
            self._user.ask(again, lambda answer: check_replay(answer, last))
        elif action == 2:
            self._conflict(self._next_step + self._user.rng.randint(1, 3), inputs)
        else:
            self._conflict(self._next_step - 1, OTHER_INPUTS[self._user.kind])

    def _conflict(self, number: int, inputs: dict[str, Any]) -> None:
        question = self._step_question(Problem, number, inputs, "out of order", 409)
        self._user.ask(question, lambda problem: check_conflict(problem, self._next_step))

    @property
    def _steps_path(self) -> str:
        return f"{PATH}/{self._id}/steps"

    def _question(self, form: type[A], method: str, status: int = 200) -> Question[A]:
        return Question(form, method, f"{PATH}/{self._id}", NAME, None, status)

    def _step_question(
        self, form: type[A], number: int | None, inputs: dict[str, Any], note: str = "", status: int = 200
    ) -> Question[A]:
        body = json_body(_step_body(number, inputs))
        return Question(form, "POST", self._steps_path, f"{STEPS_NAME} ({note or self._model})", body, status)


def close_sessions(**_: object) -> None:
    """End all sessions that are left at the end of a run, some at a time."""
    ending = set(_open)  # not those of a run that begins meanwhile
    left = list(ending)

    def close_some() -> None:
        while left:
            left.pop().close(CLOSE_SECONDS)

    closing = [gevent.spawn(close_some) for _ in range(NUM_CLOSING)]
    gevent.joinall(closing, timeout=CLOSE_SECONDS + len(left) * SECONDS_A_SESSION)
    gevent.killall(closing)
    if remaining := ending & _open:
        logger.warning("%d sessions may be left: they expire when they have been idle too long", len(remaining))
    _open.difference_update(ending)


def _step_body(number: int | None, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": inputs} if number is None else {"step": number, "inputs": inputs}
