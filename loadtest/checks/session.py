"""Checks of sessions: they start at 0, count their steps, and remember exactly what they were sent."""

from typing import TypeVar

from loadtest.answers import ItemAnswer, Problem, SessionView, StepAnswer
from loadtest.checks.problem import check_problem

O = TypeVar("O")  # noqa: E741  outputs of a step


def check_opened(view: SessionView, model: str) -> str | None:
    """Check that a new session has an id, the requested model, and no steps yet."""
    if not view.session_id:
        return "session: no id"
    return check_view(view, view.session_id, model, 0)


def check_view(view: SessionView, session_id: str, model: str, step: int) -> str | None:
    """Check that a session is as its answers left it."""
    if view.session_id != session_id:
        return "session: another one was shown"
    if view.model != model:
        return "session: not the model that was asked for"
    return _check_number(view.step, step)


def check_step(answer: StepAnswer[O] | ItemAnswer[O], session_id: str, step: int) -> str | None:
    """Check that step `step` leads to the next number."""
    if answer.session_id != session_id:
        return "session: another one answered"
    return _check_number(answer.step, step + 1)


def check_item(answer: ItemAnswer[O], session_id: str, step: int) -> str | None:
    """Check that one of many steps was taken, and leads to the next number."""
    if answer.status != 200:
        code = f" {answer.problem.code}" if answer.problem else ""
        return f"item: expected 200, got {answer.status}{code}"
    if answer.problem is not None:
        return "item: 200 with a problem"
    return check_step(answer, session_id, step)


def check_replay(answer: StepAnswer[O] | ItemAnswer[O], first: StepAnswer[O] | ItemAnswer[O]) -> str | None:
    """Check that a repeated step is answered again, but not taken again."""
    if answer.step != first.step:
        return _check_number(answer.step, first.step)
    return None if answer == first else "replay: a repeated step was answered otherwise"


def check_continuity(pieces: O, whole: O) -> str | None:
    """Check that an input in pieces gets the same answer as the whole input."""
    return None if pieces == whole else "continuity: pieces are not answered as the whole"


def check_conflict(problem: Problem, step: int) -> str | None:
    """Check that the refusal of a step out of order names the next one."""
    if problem.expected_step != step:
        return "conflict: expected_step is not the next step"
    return check_problem(problem, 409)


def check_gone(problem: Problem) -> str | None:
    """Check that the refusal of an ended session says so."""
    if problem.reason != "ended":
        return "gone: the reason is not ended"
    return check_problem(problem, 410)


def _check_number(step: int | None, expected: int | None) -> str | None:
    return None if step == expected else f"order: expected step {expected}, got {step}"
