"""Users whose reviews arrive while being written."""

from functools import partial
from itertools import accumulate
from typing import ClassVar

from locust import task

from loadtest.answers import Judgement, SentimentAnswer, StepAnswer
from loadtest.checks.sentiment import check_judgement_so_far, check_results, has_labels
from loadtest.checks.session import check_continuity
from loadtest.inputs.cuts import cut_text
from loadtest.inputs.reviews import long_review
from loadtest.question import post
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session

MAX_PIECES = 12
BLANKS = ("", "", "", " ", "\n  ", "\u200b ")


class StreamingReviewUser(CheckedUser):
    """Feeds a review piece by piece, cut anywhere, and compares with the judgement of the whole."""

    kind: ClassVar[str] = "sentiment"
    model: ClassVar[str] = "sentiment"
    has_sessions: ClassVar[bool] = True
    weight = 3
    suits = staticmethod(has_labels)

    @task
    def write(self) -> None:
        """Write one review."""
        num_pieces = self.num_steps(MAX_PIECES)
        text = self.rng.choice(BLANKS) + long_review(self.rng, num_pieces)
        whole = self.ask(
            post(SentimentAnswer, "/sentiment", {"text": text, "model": self.model}),
            lambda answer: check_results(answer, 1),
        ).results[0]
        pieces = cut_text(self.rng, text, num_pieces)
        with Session(self, self.model) as session:
            for piece, fed in zip(pieces, accumulate(pieces), strict=True):
                session.step(StepAnswer[Judgement], {"text": piece}, partial(_check, fed=fed, text=text, whole=whole))
            session.end()


def _check(judgement: Judgement, fed: str, text: str, whole: Judgement) -> str | None:
    """Check a judgement of the text fed so far. Once all is fed, it must be that of the whole text."""
    return check_judgement_so_far(judgement, fed) or (check_continuity(judgement, whole) if fed == text else None)
