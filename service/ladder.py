"""Rungs: how a length is served by graphs of fixed unrolled length. Pure."""

from collections.abc import Iterable, Sequence


def exact_rung(remaining: int, sizes: Sequence[int]) -> int:
    """The largest rung that is no longer than what remains, so that a length is cut without padding.

    Raises:
        ValueError: No rung fits; a ladder of items has a rung of size 1.
    """
    fitting = [size for size in sizes if size <= remaining]
    if not fitting:
        raise ValueError(f"no rung of {list(sizes)} fits {remaining}")
    return max(fitting)


def covering_rung(remaining: int, sizes: Sequence[int]) -> int:
    """The smallest rung that holds all that remains, else the largest: what it has too many, the graph leaves alone."""
    return min((size for size in sizes if size >= remaining), default=max(sizes))


def common_rung(remaining: Iterable[int], sizes: Sequence[int], first: int, num_enough: int) -> int:
    """The rung for a batch whose first row has `first` items left: the largest that enough rows can take.

    A cut may be made anywhere, so a row need not take the longest rung that fits it. A batch of many rows at a short
    rung is as fast, item by item, as one at a long rung; a batch of few rows is slow at any.

    Args:
        remaining: Items left of each waiting row, the first one's among them.
        sizes: The ladder.
        first: Items left of the row that must be in the batch.
        num_enough: Rows from which on more make a run no more efficient.
    """
    lengths = list(remaining)
    enough = min(num_enough, len(lengths))
    for size in sorted(sizes, reverse=True):
        if size <= first and sum(length >= size for length in lengths) >= enough:
            return size
    return exact_rung(first, sizes)
