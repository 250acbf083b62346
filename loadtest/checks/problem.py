"""What must be true of a refusal."""

from loadtest.answers import Problem


def check_problem(problem: Problem, status: int) -> str | None:
    """A refusal says what kind it is and what is wrong, and its status is that of the reply."""
    if problem.status != status:
        return "problem: its status is not that of the reply"
    if not (problem.type and problem.title and problem.detail):
        return "problem: does not say what is wrong"
    return None
