"""The characters of long texts, counted and looked up as arrays of code points."""

import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

PIECE = 2**20  # characters that are an array at once


def count_characters(text: str) -> dict[str, int]:
    """Count each character of a text, in the order of their code points."""
    counts = np.zeros(0, dtype=np.int64)
    for piece in _pieces(text, "counting characters"):
        found = np.bincount(_code_points(piece), minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return {chr(code): int(counts[code]) for code in np.flatnonzero(counts)}


def encode(text: str, encode_piece: Callable[[str], Sequence[int]]) -> NDArray[np.int64]:
    """Return the ids of a text, int64 (T,).

    Args:
        text: A text of any length.
        encode_piece: Returns the ids of a text, which must be those of its characters in a row.
    """
    table = np.full(sys.maxunicode + 1, -1, dtype=np.int64)  # ids by code point; -1 where there is not exactly one
    for character in count_characters(text):
        own = encode_piece(character)
        table[ord(character)] = own[0] if len(own) == 1 else -1
    parts = [np.zeros(0, dtype=np.int64)]
    for piece in _pieces(text, "encoding"):
        ids = table[_code_points(piece)]
        parts.append(ids if (ids >= 0).all() else np.array(encode_piece(piece), dtype=np.int64))
    return np.concatenate(parts)


def _pieces(text: str, what: str) -> Iterator[str]:
    with tqdm(
        desc=what, total=len(text), unit=" characters", unit_scale=True, leave=False, disable=None, delay=1
    ) as bar:
        for start in range(0, len(text), PIECE):
            yield text[start : start + PIECE]
            bar.update(min(PIECE, len(text) - start))


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
