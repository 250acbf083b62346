"""The grammar of captions: sentences about images of digits, generated from attributes and parsed back into them.

The attributes are the digit, the weight of its strokes and its place. Weight and place are derived from the pixels: the
weight from the amount of ink, the place from the centre of the ink.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WEIGHTS = ("thin", "medium", "bold")
PLACES = ("left", "middle", "right")

# Means of the pixels below which strokes are thin and from which on they are bold: about a quarter of images each.
THIN, BOLD = 4.45, 5.3
# Centres of the ink, in columns from 0 to 7, below which a digit is on the left and from which on it is on the right.
LEFT, RIGHT = 3.0, 4.0

# Ends a sentence, and is also the input before its first word.
END = "."
# Phrasings, and how often each is chosen.
PHRASES = (
    ("{a} {weight} {digit} {where}", 0.5),
    ("this is {a_digit} {digit} in {weight} strokes {where}", 0.25),
    ("{where} there is {a} {weight} {digit}", 0.25),
)
WHERE = {"left": "on the left", "middle": "in the middle", "right": "on the right"}


class Attributes(NamedTuple):
    """What a sentence says. An attribute is None if the sentence does not name it, or names more than one value."""

    digit: str | None
    weight: str | None
    place: str | None


def vocabulary() -> tuple[str, ...]:
    """Return all words: END, then those of all phrases in alphabetical order."""
    sentences = (
        phrase(Attributes(digit, weight, place), number)
        for digit in DIGITS
        for weight in WEIGHTS
        for place in PLACES
        for number in range(len(PHRASES))
    )
    return (END, *sorted({word for sentence in sentences for word in sentence}))


def phrase(attributes: Attributes, number: int) -> list[str]:
    """Write a sentence about attributes in one of PHRASES, by its index. Returns its words, without END."""
    digit, weight, place = attributes
    text = PHRASES[number][0].format(
        digit=digit, weight=weight, where=WHERE[str(place)], a="a", a_digit="an" if digit == "eight" else "a"
    )
    return text.split()


def attributes_of(images: NDArray[np.float32], digits: NDArray[np.int64]) -> list[Attributes]:
    """Derive the attributes of images, float32 (N, 8, 8) from 0 to 16, that show the digits, int64 (N,)."""
    ink = images.mean(axis=(1, 2))
    columns = images.sum(axis=1)
    centre = columns @ np.arange(images.shape[2]) / columns.sum(axis=1)
    weights = np.digitize(ink, (THIN, BOLD))
    places = np.digitize(centre, (LEFT, RIGHT))
    chosen = zip(digits, weights, places, strict=True)
    return [Attributes(DIGITS[digit], WEIGHTS[weight], PLACES[place]) for digit, weight, place in chosen]


def until_end(words: Sequence[str]) -> Sequence[str]:
    """Return the words of a sentence before its first END."""
    return words[: list(words).index(END)] if END in words else words


def parse(words: Sequence[str]) -> Attributes:
    """Read the attributes from the words of a sentence."""
    return Attributes(*(_only(words, among) for among in (DIGITS, WEIGHTS, PLACES)))


def _only(words: Iterable[str], among: Sequence[str]) -> str | None:
    found = [word for word in words if word in among]
    return found[0] if len(found) == 1 else None


def is_grammatical(words: Sequence[str]) -> bool:
    """Whether `phrase` could have written a sentence."""
    said = parse(words)
    return None not in said and any(phrase(said, number) == list(words) for number in range(len(PHRASES)))
