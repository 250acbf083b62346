"""Translations that must not pass, each beside one that must."""

import pytest

from loadtest.answers import AttentionMap, TranslateAnswer, Translation
from loadtest.checks.translation import check_attention, check_translations

MAP = AttentionMap(source=["▁a", "▁dog", "."], target=["▁Hund", "[END]"], weights=[[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]])
RIGHT = Translation(text="Hund", score=-0.5, attention=MAP)
TEXT = "A dog."


def answer(*translations: Translation) -> TranslateAnswer:
    return TranslateAnswer(translations=list(translations), bundle="translation-de:0")


def wrong(**changes: object) -> Translation:
    return RIGHT.model_copy(update=changes)


def test_a_right_translation_passes() -> None:
    assert check_translations(answer(RIGHT, RIGHT), 2, is_attention=True) is None
    assert check_translations(answer(wrong(attention=None)), 1) is None
    assert check_attention(RIGHT, TEXT) is None


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        (answer(), "count: not one translation for each text"),
        (answer(wrong(attention=None)), "attention: missing or not asked for"),
        (answer(wrong(text="")), "text: no sentence"),
        (answer(wrong(text="hund")), "text: no sentence"),
        (answer(wrong(score=0.5)), "score: no log-probability"),
    ],
)
def test_a_wrong_translation_does_not_pass(given: TranslateAnswer, failure: str) -> None:
    assert check_translations(given, 1, is_attention=True) == failure


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"source": ["▁a", "▁cat", "."]}, "attention: not over the pieces of the text"),
        ({"target": ["▁Hund"]}, "attention: not a row for each piece of the translation"),
        ({"weights": [[0.5, 0.5], [0.0, 1.0]]}, "attention: not a weight for each piece of the text"),
        ({"weights": [[0.5, 0.5, 0.5], [0.0, 0.0, 1.0]]}, "attention: does not add up to 1"),
    ],
)
def test_wrong_attention_does_not_pass(changes: dict[str, object], failure: str) -> None:
    assert check_attention(wrong(attention=MAP.model_copy(update=changes)), TEXT) == failure


def test_missing_attention_does_not_pass() -> None:
    assert check_attention(wrong(attention=None), TEXT) == "attention: missing"
