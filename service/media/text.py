"""Text as the model reads it: the bundle's own tokenizer, and where a growing text may be cut."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from service.errors import InvalidInput, Location

MAX_WORD_CHARACTERS = 1000

BLANK, UNKNOWN = "\u2581", "[UNK]"  # pieces: of no letter, and of a character that the tokenizer does not know

# Unicode's White_Space, which the tokenizer splits at; Python's \s includes four control characters more.
_WHITESPACE = re.compile(r"[^\S\x1c-\x1f]")


@dataclass(frozen=True)
class Tokens:
    """Token ids, int64 (T,), with the place of each in the text that was read."""

    ids: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]


class TextReader:
    """The tokenizer of a bundle, the same that training used."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))

    @property
    def num_tokens(self) -> int:
        """Size of the vocabulary: all ids are smaller."""
        return self._tokenizer.get_vocab_size()

    def read(self, text: str) -> Tokens:
        """Return the tokens of a text."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return Tokens(np.array(encoding.ids, dtype=np.int64), tuple(encoding.offsets))


class PieceReader:
    """The tokenizer of a bundle that also writes: pieces of words to ids and back.

    A piece that begins a word begins with BLANK. Each unknown character is a piece of its own.
    """

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))

    def read(self, text: str) -> NDArray[np.int64]:
        """Return the ids of a text's pieces, int64 (T,)."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of pieces."""
        text: str = self._tokenizer.decode(list(ids))
        return text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the pieces as strings."""
        return [str(self._tokenizer.id_to_token(piece)) for piece in ids]


def split_last_word(text: str, at: int | None) -> tuple[str, str]:
    """Cut a growing text before its last word, which may still grow: ("a ", "wond") before "erful" comes.

    A run of characters without white space may not contain a word yet: "\u200b" alone does not, "\u200bthe" does.

    Args:
        text: The text that has not been read yet.
        at: The place of a character of the last word; None if there is no word.

    Returns:
        What may be read now, and what stays pending: the last word, then a blank if white space follows it, then the
        last run if it is not a word but may still become one. Without a word, only that run is pending.
    """
    _, growing = split_unfinished(text)
    if at is None:
        return "", growing
    before, _ = split_unfinished(text[:at])
    end = _WHITESPACE.search(text, at)
    pending = text[len(before) :] if end is None else f"{text[len(before) : end.start()]} {growing}"
    return before, pending


def split_unfinished(text: str) -> tuple[str, str]:
    """Cut a growing text after its last white space: what is whole, and a word that may still grow."""
    start = len(text)
    while start and not _WHITESPACE.match(text, start - 1):
        start -= 1
    return text[:start], text[start:]


def longest_word(text: str) -> int:
    """Return the length of the longest run without white space, in characters."""
    return max(map(len, _WHITESPACE.split(text)))


def check_words(text: str, location: Location) -> None:
    """Raise InvalidInput if a run without white space is too long."""
    if longest_word(text) > MAX_WORD_CHARACTERS:
        raise InvalidInput(f"a word is longer than {MAX_WORD_CHARACTERS} characters", location)
