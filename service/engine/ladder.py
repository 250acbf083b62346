"""Rungs: how graphs of a few fixed lengths compute sequences of any length. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


def exact_rung(remaining: int, rungs: Sequence[int]) -> int:
    """Return the longest rung of at most `remaining`, so that lengths are cut without padding.

    Args:
        remaining: Number of items.
        rungs: In ascending order.

    Raises:
        ValueError: No rung fits. With a rung of 1 this cannot happen.
    """
    num_fitting = bisect_right(rungs, remaining)
    if not num_fitting:
        raise ValueError(f"no rung of {list(rungs)} fits {remaining}")
    return rungs[num_fitting - 1]


def covering_rung(remaining: int, rungs: Sequence[int]) -> int:
    """Return the shortest rung of at least `remaining`, or else the longest. The graph ignores surplus positions."""
    return min((rung for rung in rungs if rung >= remaining), default=max(rungs))


@dataclass(frozen=True)
class Ladder:
    """The rungs of one stage, and whether they cut a length exactly or cover it."""

    rungs: tuple[int, ...]
    is_exact: bool

    def rung(self, remaining: int) -> int:
        """Return the rung that a job with this many items remaining would take alone."""
        return (exact_rung if self.is_exact else covering_rung)(remaining, self.rungs)


def common_rung(spans: Sequence[tuple[int, int]], rungs: Sequence[int], num_enough: int) -> int:
    """Return the rung for a batch: the longest that the first row and enough others can take.

    Sequences may be cut anywhere, so a row need not take the longest rung that fits. A batch of many rows is as fast
    per item at a short rung as at a long one; a batch of few rows is slow at any rung.

    Args:
        spans: The shortest and the longest rung that each waiting row would take, in the order of the queue.
        rungs: All rungs of the stage.
        num_enough: The number of rows beyond which a run gets no more efficient.
    """
    least, most = spans[0]
    possible = [rung for rung in sorted(rungs, reverse=True) if least <= rung <= most]
    for rung in possible:
        if sum(low <= rung <= high for low, high in spans) >= num_enough:
            return rung
    return max(possible, key=lambda rung: sum(low <= rung <= high for low, high in spans))
