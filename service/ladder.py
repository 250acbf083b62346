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


def cut(length: int, sizes: Sequence[int]) -> list[int]:
    """The rungs that a length is cut into: 45 over {1, 8, 32} is [32, 8, 1, 1, 1, 1, 1]."""
    rungs: list[int] = []
    while length:
        rungs.append(exact_rung(length, sizes))
        length -= rungs[-1]
    return rungs
