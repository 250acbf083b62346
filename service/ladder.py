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
