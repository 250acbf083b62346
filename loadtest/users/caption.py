"""Users with images of digits."""

from typing import ClassVar

from locust import task

from loadtest.answers import CaptionAnswer
from loadtest.checks.caption import check_caption
from loadtest.checks.same import check_same
from loadtest.inputs.images import image
from loadtest.inputs.prompts import MAX_SEED
from loadtest.question import Question, post
from loadtest.users.checked import CheckedUser


class CaptionUser(CheckedUser):
    """Has images described, and asks again to check that the same seed gives the same sentence."""

    kind: ClassVar[str] = "caption"

    @task
    def describe(self) -> None:
        """Have an image described, often twice."""
        request: dict[str, object] = {
            "image": image(self.rng),
            "temperature": self.rng.choice((0, 0.7)),
            "seed": self.rng.randrange(MAX_SEED),
        }
        first = self.ask(_question(request), lambda answer: check_caption(answer, request["seed"]))
        if self.rng.random() < 0.5:
            failure = "repetition: another sentence for the same seed"
            self.ask(_question(request, "again"), lambda answer: check_same(answer, first, failure))


def _question(request: dict[str, object], note: str = "") -> Question[CaptionAnswer]:
    return post(CaptionAnswer, "/caption", request, note)
