"""One measured figure and the limit that it should keep."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What a bench found.

    Args:
        name: What was measured, for instance "one step, 64 connections".
        value: In units of `unit`.
        unit: For instance "rows/s", "ms" or "x".
        limit: What should be reached; None for a figure that is only reported.
        higher_is_better: Whether the limit is the lowest or the highest value allowed.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    higher_is_better: bool = True

    @property
    def reached(self) -> bool:
        """Whether the limit is kept; a figure without one keeps it, a NaN does not."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.higher_is_better else self.value <= self.limit
