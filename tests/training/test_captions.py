import itertools

import numpy as np
import pytest

from training import captions
from training.captions import BOLD, DIGITS, LEFT, PHRASES, PLACES, RIGHT, THIN, WEIGHTS, Attributes


def image(column: int, ink: float) -> np.ndarray:
    """All ink in one column, so much of it that the mean is `ink`."""
    pixels = np.zeros((8, 8), dtype=np.float32)
    pixels[:, column] = 8 * ink
    return pixels


@pytest.mark.parametrize("number", range(len(PHRASES)))
def test_every_sentence_says_what_it_was_made_of(number: int) -> None:
    vocabulary = captions.vocabulary()
    for digit, weight, place in itertools.product(DIGITS, WEIGHTS, PLACES):
        words = captions.phrase(Attributes(digit, weight, place), number)
        assert captions.parse(words) == (digit, weight, place)
        assert captions.is_grammatical(words)
        assert set(words) <= set(vocabulary)
        assert ("an" in words) == (digit == "eight" and "this" in words)


def test_attributes_come_from_the_pixels() -> None:
    images = np.stack([image(1, THIN - 0.1), image(3, THIN + 0.1), image(6, BOLD + 0.1)])
    assert captions.attributes_of(images, np.array([0, 5, 9])) == [
        ("zero", "thin", "left"),
        ("five", "medium", "middle"),
        ("nine", "bold", "right"),
    ]
    assert LEFT < 3.5 < RIGHT


def test_what_is_said_twice_or_not_at_all_is_not_said() -> None:
    assert captions.parse(["a", "thin", "bold", "six", "six", "on", "the", "left"]) == (None, None, "left")
    assert captions.parse([]) == (None, None, None)


@pytest.mark.parametrize(
    "words", ["a thin seven", "seven thin a on the left", "this is a eight in thin strokes on the left"]
)
def test_other_sentences_are_not_grammatical(words: str) -> None:
    assert not captions.is_grammatical(words.split())


def test_shares_of_phrases_add_up_to_one() -> None:
    assert sum(share for _, share in PHRASES) == 1
