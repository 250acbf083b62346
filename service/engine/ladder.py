"""Rungs: how sequences of any length are computed by graphs of a few fixed lengths. Pure."""

from collections.abc import Sequence


def exact_rung(remaining: int, rungs: Sequence[int]) -> int:
    """The largest rung that is no longer than `remaining`, so that a length is cut without padding.

    Raises:
        ValueError: No rung fits; a ladder of items has a rung of 1.
    """
    fitting = [rung for rung in rungs if rung <= remaining]
    if not fitting:
        raise ValueError(f"no rung of {list(rungs)} fits {remaining}")
    return max(fitting)


def covering_rung(remaining: int, rungs: Sequence[int]) -> int:
    """The smallest rung of at least `remaining`, or the largest one. The graph ignores surplus positions."""
    return min((rung for rung in rungs if rung >= remaining), default=max(rungs))


def common_rung(spans: Sequence[tuple[int, int]], rungs: Sequence[int], num_enough: int) -> int:
    """The rung for a batch: the largest that the first row and enough others can take.

    A cut may be made anywhere, so a row need not take the longest rung that fits it. A batch of many rows at a short
    rung is as fast, item by item, as one at a long rung; a batch of few rows is slow at any.

    Args:
        spans: For each waiting row the shortest and the longest rung that it would take. The first row comes first.
        rungs: All rungs of the stage.
        num_enough: The number of rows from which on more rows make a run no more efficient.
    """
    least, most = spans[0]
    possible = [rung for rung in sorted(rungs, reverse=True) if least <= rung <= most]
    for rung in possible:
        if sum(low <= rung <= high for low, high in spans) >= num_enough:
            return rung
    return max(possible, key=lambda rung: sum(low <= rung <= high for low, high in spans))
