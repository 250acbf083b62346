"""Rungs: how a length is served by graphs of fixed unrolled length. Pure."""

from collections.abc import Sequence


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


def common_rung(spans: Sequence[tuple[int, int]], sizes: Sequence[int], num_enough: int) -> int:
    """The rung for a batch: the largest that the first row and enough others can take.

    A cut may be made anywhere, so a row need not take the longest rung that fits it. A batch of many rows at a short
    rung is as fast, item by item, as one at a long rung; a batch of few rows is slow at any.

    Args:
        spans: The shortest and the longest rung that each waiting row would take, the first row's first.
        sizes: The ladder.
        num_enough: Rows from which on more make a run no more efficient.
    """
    least, most = spans[0]
    possible = [size for size in sorted(sizes, reverse=True) if least <= size <= most]
    enough = min(num_enough, len(spans))
    for size in possible:
        if sum(low <= size <= high for low, high in spans) >= enough:
            return size
    return max(possible, key=lambda size: sum(low <= size <= high for low, high in spans))
