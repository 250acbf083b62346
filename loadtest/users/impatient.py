"""Users who make mistakes."""

from locust import task

from loadtest.answers import Problem
from loadtest.checks.problem import check_problem
from loadtest.mistakes import MISTAKES, WRONG_STEPS
from loadtest.question import Question
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session


class ImpatientUser(CheckedUser):
    """Sends what must be refused and expects a refusal that says what is wrong with it."""

    @task(8)
    def mistake(self) -> None:
        """One wrong request."""
        wrong = self.rng.choice(MISTAKES)
        question = Question(
            Problem,
            wrong.method,
            wrong.path,
            f"{wrong.path} (mistake)",
            wrong.body,
            wrong.status,
            content_type=wrong.content_type,
            case=wrong.name,
        )
        self.ask(question, lambda problem: check_problem(problem, wrong.status))

    @task(2)
    def wrong_step(self) -> None:
        """A session's wrong step, which must leave the session where it is."""
        model = self.rng.choice(sorted(WRONG_STEPS))
        session = Session(self, model)
        session.refuse(self.rng.choice(WRONG_STEPS[model]))
        session.look()
        session.end()
