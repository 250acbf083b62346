"""An answer that must be the same as before, and every way in which it may not be."""

import pytest

from loadtest.answers import GenerateAnswer, Judgement, Usage
from loadtest.checks.same import check_same

FAILURE = "seed: the same seed gave another text"
TEXT = GenerateAnswer(
    text="to be",
    finish_reason="length",
    usage=Usage(prompt_tokens=7, completion_tokens=5, total_tokens=12),
    seed=3,
    bundle="b:1",
)
POSITIVE = Judgement(label="positive", score=0.75, probabilities={"negative": 0.25, "positive": 0.75})


def test_what_is_the_same_passes() -> None:
    assert check_same(TEXT.model_copy(), TEXT, FAILURE) is None
    assert check_same(POSITIVE.model_copy(), POSITIVE, FAILURE) is None


@pytest.mark.parametrize("change", [{"text": "to do"}, {"finish_reason": "stop"}, {"seed": 8}])
def test_what_differs_in_anything_fails(change: dict[str, object]) -> None:
    assert check_same(TEXT.model_copy(update=change), TEXT, FAILURE) == FAILURE


def test_another_text_of_a_list_fails() -> None:
    negative = Judgement(label="negative", score=0.8, probabilities={"negative": 0.8, "positive": 0.2})
    assert check_same(negative, POSITIVE, FAILURE) == FAILURE
