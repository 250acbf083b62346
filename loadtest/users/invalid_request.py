"""Users who send invalid requests."""

from typing import ClassVar

from locust import task

from loadtest.checks.problem import check_problem
from loadtest.invalid_requests import INVALID_REQUESTS, INVALID_STEPS
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session


class InvalidRequestUser(CheckedUser):
    """Sends requests that must be refused, and expects refusals that say what is wrong."""

    needs: ClassVar[tuple[str, ...]] = tuple(INVALID_STEPS)

    @task(8)
    def invalid_request(self) -> None:
        """Send one invalid request."""
        question = self.rng.choice(INVALID_REQUESTS)
        self.ask(question, lambda problem: check_problem(problem, question.status))

    @task(2)
    def invalid_step(self) -> None:
        """Send an invalid step to a session, which must not advance."""
        model = self.rng.choice(sorted(INVALID_STEPS))
        with Session(self, model) as session:
            session.refuse(self.rng.choice(INVALID_STEPS[model]))
            session.look()
            session.end()
