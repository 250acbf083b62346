"""What must be true of a session: it starts at 0, counts its steps, and remembers exactly what it was sent."""

from typing import TypeVar

from loadtest.answers import Problem, SessionView, StepAnswer
from loadtest.checks.problem import check_problem

O = TypeVar("O")  # noqa: E741  outputs of a step


def check_opened(view: SessionView, model: str) -> str | None:
    """A new session has an id, the model that was asked for, and no step behind it."""
    if not view.session_id:
        return "session: no id"
    return check_view(view, view.session_id, model, 0)


def check_view(view: SessionView, session_id: str, model: str, step: int) -> str | None:
    """A session looks as its answers left it."""
    if view.session_id != session_id:
        return "session: another one was shown"
    if view.model != model:
        return "session: not the model that was asked for"
    return _check_number(view.step, step)


def check_step(answer: StepAnswer[O], session_id: str, step: int) -> str | None:
    """Step `step` leads to the next number."""
    if answer.session_id != session_id:
        return "session: another one answered"
    return _check_number(answer.step, step + 1)


def check_replay(answer: StepAnswer[O], first: StepAnswer[O]) -> str | None:
    """A repeated step is answered once more, not taken once more."""
    if answer.step != first.step:
        return _check_number(answer.step, first.step)
    return None if answer == first else "replay: a repeated step was answered otherwise"


def check_continuity(pieces: O, whole: O) -> str | None:
    """Check that an input in pieces has the same answer as the whole input."""
    return None if pieces == whole else "continuity: pieces are not answered as the whole"


def check_conflict(problem: Problem, step: int) -> str | None:
    """The refusal of a step out of order must name the next one."""
    if problem.expected_step != step:
        return "conflict: expected_step is not the next step"
    return check_problem(problem, 409)


def check_gone(problem: Problem) -> str | None:
    """A session that was ended says so."""
    if problem.reason != "ended":
        return "gone: the reason is not ended"
    return check_problem(problem, 410)


def _check_number(step: int, expected: int) -> str | None:
    return None if step == expected else f"order: expected step {expected}, got {step}"
