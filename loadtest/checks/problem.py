"""Checks of refusals."""

from loadtest.answers import Problem


def check_problem(problem: Problem, status: int) -> str | None:
    """Check that a refusal names its kind, says what is wrong, and has the status of the reply."""
    if problem.status != status:
        return "problem: its status is not that of the reply"
    if not (problem.type and problem.title and problem.detail):
        return "problem: does not say what is wrong"
    return None
