"""Users who send invalid requests."""

from locust import task

from loadtest.answers import Problem
from loadtest.checks.problem import check_problem
from loadtest.invalid_requests import INVALID_REQUESTS, INVALID_STEPS
from loadtest.question import Question
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session


class InvalidRequestUser(CheckedUser):
    """Sends requests that must be refused, and expects refusals that say what is wrong."""

    @task(8)
    def invalid_request(self) -> None:
        """Send one invalid request."""
        wrong = self.rng.choice(INVALID_REQUESTS)
        question = Question(
            Problem,
            wrong.method,
            wrong.path,
            f"{wrong.path} (invalid)",
            wrong.body,
            wrong.status,
            content_type=wrong.content_type,
            case=wrong.name,
        )
        self.ask(question, lambda problem: check_problem(problem, wrong.status))

    @task(2)
    def invalid_step(self) -> None:
        """Send an invalid step to a session, which must not advance."""
        model = self.rng.choice(sorted(INVALID_STEPS))
        session = Session(self, model)
        session.refuse(self.rng.choice(INVALID_STEPS[model]))
        session.look()
        session.end()
