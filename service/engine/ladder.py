"""Rungs: how a length is served by graphs of fixed unrolled length. Pure."""

from collections.abc import Sequence


def exact_rung(remaining: int, rungs: Sequence[int]) -> int:
    """The largest rung that is no longer than what remains, so that a length is cut without padding.

    Raises:
        ValueError: No rung fits; a ladder of items has a rung of 1.
    """
    fitting = [rung for rung in rungs if rung <= remaining]
    if not fitting:
        raise ValueError(f"no rung of {list(rungs)} fits {remaining}")
    return max(fitting)


def covering_rung(remaining: int, rungs: Sequence[int]) -> int:
    """The smallest rung that holds all that remains, else the largest: what it has too many, the graph leaves alone."""
    return min((rung for rung in rungs if rung >= remaining), default=max(rungs))


def common_rung(spans: Sequence[tuple[int, int]], rungs: Sequence[int], num_enough: int) -> int:
    """The rung for a batch: the largest that the first row and enough others can take.

    A cut may be made anywhere, so a row need not take the longest rung that fits it. A batch of many rows at a short
    rung is as fast, item by item, as one at a long rung; a batch of few rows is slow at any.

    Args:
        spans: The shortest and the longest rung that each waiting row would take, the first row's first.
        rungs: The ladder.
        num_enough: Rows from which on more make a run no more efficient.
    """
    least, most = spans[0]
    possible = [rung for rung in sorted(rungs, reverse=True) if least <= rung <= most]
    enough = min(num_enough, len(spans))
    for rung in possible:
        if sum(low <= rung <= high for low, high in spans) >= enough:
            return rung
    return max(possible, key=lambda rung: sum(low <= rung <= high for low, high in spans))
