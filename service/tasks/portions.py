"""Divides work into portions, for work that would take too much memory at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

# The most words of a request that are in graphs at a time: one takes up to eight kilobytes there.
MAX_WORDS_IN_GRAPHS = 2**14

T = TypeVar("T")


def portions(items: Iterable[T], sizes: Iterable[int], most: int) -> Iterator[Sequence[T]]:
    """Yield items in order, in portions whose sizes add up to at most `most`, or of a single larger item."""
    some: list[T] = []
    total = 0
    for item, size in zip(items, sizes, strict=True):
        total += size
        if some and total > most:
            yield some
            some, total = [], size
        some.append(item)
    if some:
        yield some
