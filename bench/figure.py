"""A measured figure with the limit that it should keep, and the error if it cannot be measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value. Without a limit it is for the record only.

    Args:
        name: What was measured, for instance "one step, 64 connections".
        value: The value, in `unit`.
        unit: For instance "rows/s", "ms" or "x".
        at_least: The lowest value that keeps the limit.
        at_most: The highest value that keeps it.
    """

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def has_limit(self) -> bool:
        """Whether it has a limit."""
        return self.at_least is not None or self.at_most is not None

    @property
    def is_kept(self) -> bool:
        """Whether its limits are kept. True without a limit, False for a NaN with one."""
        is_high_enough = self.at_least is None or self.value >= self.at_least
        is_low_enough = self.at_most is None or self.value <= self.at_most
        return is_high_enough and is_low_enough


class Unavailable(Exception):
    """Something that a measurement needs is missing on this machine. The message says how to get it."""
