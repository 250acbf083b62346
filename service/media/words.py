"""Words of written English: their places in a text, ids, spelling, and the entities that they form.

A bundle's tokenizer splits texts and knows the frequent words; its manifest lists the characters.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from service.media.characters import ZERO_WIDTH_SPACE, composed, seen_characters, without_format_characters

UNKNOWN_ID = 0
OUTSIDE = "O"

_VARIATION_SELECTOR = re.compile("[\ufe00-\ufe0f]")

Ids = NDArray[np.int64]


class WordReader:
    """The tokenizer of a tagger, the same that training used."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._ids: dict[str, int] = self._tokenizer.get_vocab()

    def word_spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each word of a text begins and ends.

        The tokenizer does not see format characters, and reads what is one character on the screen as one.
        """
        if text.isascii():
            return self._word_spans(text)
        seen = seen_characters(text)
        as_seen = "".join(_first_composed(text[start:end]) for start, end in seen)
        return [(seen[first][0], seen[end - 1][1]) for first, end in self._word_spans(as_seen)]

    def _word_spans(self, text: str) -> list[tuple[int, int]]:
        return [span for _, span in self._tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    def ids(self, words: Sequence[str]) -> Ids:
        """Return the id of each word, int64 (T,)."""
        normalize = self._tokenizer.normalizer.normalize_str
        return np.array([self._ids.get(normalize(word), UNKNOWN_ID) for word in words], dtype=np.int64)


def _first_composed(character: str) -> str:
    if character == ZERO_WIDTH_SPACE:
        return " "
    return character if len(character) == 1 else composed(character)[0]


def spelling(word: str) -> str:
    """Return a word as it is looked up: composed (NFC), without format characters and variation selectors.

    A word of nothing else stays as it is.
    """
    if word.isascii():
        return word
    return composed(_VARIATION_SELECTOR.sub("", without_format_characters(word))).strip() or word


class CharacterVocabulary:
    """The characters of words, and their ids.

    Args:
        characters: The known characters, which have the ids 1, 2, ...; any other character has 0.
        longest_word: Of a longer word only this many characters are read: half from its beginning, half from its end.
    """

    def __init__(self, characters: Sequence[str], longest_word: int) -> None:
        self._ids = {character: i for i, character in enumerate(characters, start=1)}
        self._half = longest_word // 2

    def ids(self, word: str) -> Ids:
        """Return the character ids of a word, int64 (K,)."""
        if len(word) > 2 * self._half:
            word = word[: self._half] + word[-self._half :]
        return np.array([self._ids.get(character, 0) for character in word], dtype=np.int64)


class Entity(NamedTuple):
    """Words from `first` up to, but not including, `end`, and what they name."""

    first: int
    end: int
    kind: str


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities that BIO tags mark. An I- tag that continues none of its kind begins one, as in CoNLL."""
    begins = [i for i, (before, tag) in enumerate(pairwise([OUTSIDE, *tags])) if _begins(before, tag)]
    return [Entity(first, _end(tags, first), tags[first].partition("-")[2]) for first in begins]


def _begins(before: str, tag: str) -> bool:
    position, _, kind = tag.partition("-")
    return position == "B" or (position == "I" and before.partition("-")[2] != kind)


def _end(tags: Sequence[str], first: int) -> int:
    inside = f"I-{tags[first].partition('-')[2]}"
    return next((i for i in range(first + 1, len(tags)) if tags[i] != inside), len(tags))
