"""Users who send steps of many sessions in one request."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from loadtest.answers import ItemAnswers, ReadingsAnswer
from loadtest.checks.session import check_replay
from loadtest.question import Question, post
from loadtest.users.gateway import REPEATED_SHARE, GatewayStep, GatewayUser, ReadingsItem

T = TypeVar("T")
Answers = ItemAnswers[ReadingsAnswer]


class BatchUser(GatewayUser):
    """Sends the steps in one request, now and then twice."""

    def take(self, steps: Sequence[GatewayStep]) -> None:
        items = [step.item() for step in steps]
        first = self.ask(
            _question(items, self.model),
            lambda answer: _check_items(answer, steps, lambda got, step: step.failure(got)),
        )
        if self.rng.random() < REPEATED_SHARE:
            again = _question(items, f"{self.model}, again")
            self.ask(again, lambda answer: _check_items(answer, first.items, check_replay))


def _question(items: list[dict[str, object]], note: str) -> Question[Answers]:
    return post(Answers, "/steps", {"items": items}, note)


def _check_items(answer: Answers, expected: Sequence[T], check: Callable[[ReadingsItem, T], str | None]) -> str | None:
    """Check each item with what belongs to it."""
    if len(answer.items) != len(expected):
        return "items: not one for each"
    return next(filter(None, map(check, answer.items, expected)), None)
