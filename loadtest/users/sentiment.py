"""Users with whole reviews."""

from typing import ClassVar

from locust import task

from loadtest.answers import SentimentAnswer
from loadtest.checks.same import check_same
from loadtest.checks.sentiment import check_results, check_trajectory, has_labels
from loadtest.inputs.reviews import review, reviews
from loadtest.question import Question, post
from loadtest.users.checked import CheckedUser

MAX_TEXTS = 12

MOVED = "order: a text in a list is not judged as it is alone"


class SentimentUser(CheckedUser):
    """Asks for judgements of reviews, one by one or many at once."""

    kind: ClassVar[str] = "sentiment"
    has_sessions: ClassVar[bool] = True
    weight = 2
    suits = staticmethod(has_labels)

    @task(6)
    def one(self) -> None:
        """Ask about one review."""
        self.ask(_question(review(self.rng)), lambda answer: check_results(answer, 1))

    @task(2)
    def many(self) -> None:
        """Ask about a list, and about one of its reviews alone."""
        texts = reviews(self.rng, self.rng.randint(2, MAX_TEXTS))
        place = self.rng.randrange(len(texts))
        alone = self.ask(_question(texts[place]), lambda answer: check_results(answer, 1)).results[0]
        self.ask(
            _question(texts, "list"),
            lambda answer: check_results(answer, len(texts)),
            lambda answer: check_same(answer.results[place], alone, MOVED),
        )

    @task(2)
    def trajectory(self) -> None:
        """Ask about one review, word by word."""
        text = review(self.rng)
        self.ask(
            _question(text, "trajectory", trajectory=True),
            lambda answer: check_results(answer, 1, is_trajectory=True),
            lambda answer: check_trajectory(answer.results[0], text),
        )


def _question(text: str | list[str], note: str = "", trajectory: bool = False) -> Question[SentimentAnswer]:
    return post(SentimentAnswer, "/sentiment", {"text": text, "trajectory": trajectory}, note)
