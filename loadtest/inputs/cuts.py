"""Cuts inputs at random places into pieces that are not empty."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random

from loadtest.inputs.readings import Series


def cut_text(rng: Random, text: str, num_pieces: int) -> list[str]:
    """Cut a text into at most `num_pieces` pieces."""
    return [text[start:end] for start, end in _spans(rng, len(text), num_pieces)]


def cut_series(rng: Random, series: Series, num_pieces: int) -> list[Series]:
    """Cut a series into at most `num_pieces` pieces, at the same times in all channels."""
    length = len(next(iter(series.values())))
    return [
        {channel: values[start:end] for channel, values in series.items()}
        for start, end in _spans(rng, length, num_pieces)
    ]


def cut_count(rng: Random, count: int, num_pieces: int) -> list[int]:
    """Split a number into a sum of at most `num_pieces` smaller ones."""
    return [end - start for start, end in _spans(rng, count, num_pieces)]


def _spans(rng: Random, length: int, num_pieces: int) -> Iterator[tuple[int, int]]:
    places = range(1, length)
    inner = rng.sample(places, min(num_pieces - 1, len(places)))
    return pairwise([0, *sorted(inner), length] if length else [])
