"""A session, as one user drives it."""

from collections.abc import Callable
from typing import Any, TypeVar

from loadtest.answers import Answer, EmptyAnswer, Problem, SessionView, StepAnswer
from loadtest.checks.problem import check_problem
from loadtest.checks.session import check_conflict, check_gone, check_opened, check_replay, check_step, check_view
from loadtest.question import Question, json_body
from loadtest.users.checked import CheckedUser

A = TypeVar("A", bound=Answer)
O = TypeVar("O")  # noqa: E741  outputs of a step

PATH = "/sessions"
NAME = "/sessions/{id}"
TTL_SECONDS = 600
DISTURBANCE = 0.2
WITHOUT_NUMBER_SHARE = 0.1
# Inputs that users of each kind never send otherwise.
OTHER_INPUTS: dict[str, dict[str, Any]] = {
    "sentiment": {"text": "Something else."},
    "generation": {"text": "Something else."},
    "forecasting": {"horizon": 1, "quantiles": [0.3]},
    "tagging": {"text": "Something else."},
}


class Session:
    """Opens a session, counts its steps, and checks that the service counts the same.

    Args:
        user: The user that asks the questions.
        model: Name of the served model.
    """

    def __init__(self, user: CheckedUser, model: str) -> None:
        self._user = user
        self._model = model
        body = json_body({"model": model, "ttl_seconds": TTL_SECONDS})
        opening = Question(SessionView, "POST", PATH, f"{PATH} ({model})", body, 201)
        self._id = user.ask(opening, lambda view: check_opened(view, model)).session_id
        self._next_step = 0

    def step(self, form: type[StepAnswer[O]], inputs: dict[str, Any], check: Callable[[O], str | None]) -> O:
        """Take a step, usually with its number, and check its outputs."""
        number = self._next_step
        answer = self._user.ask(
            self._step_question(form, None if self._user.rng.random() < WITHOUT_NUMBER_SHARE else number, inputs),
            lambda answer: check_step(answer, self._id, number),
            lambda answer: check(answer.outputs),
        )
        self._next_step += 1
        if self._user.rng.random() < DISTURBANCE:
            self._disturb(form, inputs, answer)
        return answer.outputs

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
        self._user.ask(self._question(Problem, "GET", 410), check_gone)
        self._user.ask(self._step_question(Problem, self._next_step, {"text": "More."}, "ended", 410), check_gone)

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

    def _question(self, form: type[A], method: str, status: int = 200) -> Question[A]:
        return Question(form, method, f"{PATH}/{self._id}", NAME, None, status)

    def _step_question(
        self, form: type[A], number: int | None, inputs: dict[str, Any], note: str = "", status: int = 200
    ) -> Question[A]:
        name = f"{NAME}/steps ({note or self._model})"
        body = {"inputs": inputs} if number is None else {"step": number, "inputs": inputs}
        return Question(form, "POST", f"{PATH}/{self._id}/steps", name, json_body(body), status)
