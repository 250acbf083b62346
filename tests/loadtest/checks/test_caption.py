"""Captions that must not pass, each beside one that must."""

import pytest

from loadtest.answers import CaptionAnswer
from loadtest.checks.caption import check_caption

RIGHT = CaptionAnswer(caption="A thin seven.", words=["a", "thin", "seven"], pixels=[[0.0]], seed=3, bundle="caption:0")


def wrong(**changes: object) -> CaptionAnswer:
    return RIGHT.model_copy(update=changes)


def test_a_right_caption_passes() -> None:
    assert check_caption(RIGHT, 3) is None


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        (wrong(seed=4), "seed: not the one that was sent"),
        (wrong(words=[]), "words: not those of the sentence"),
        (wrong(words=["a", "seven"]), "words: not those of the sentence"),
        (wrong(caption="A thin seven"), "words: not those of the sentence"),
        (wrong(caption="a thin seven."), "caption: no sentence"),
    ],
)
def test_a_wrong_caption_does_not_pass(given: CaptionAnswer, failure: str) -> None:
    assert check_caption(given, 3) == failure
