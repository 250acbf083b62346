"""Warnings about readings in a user's own table that may stand for missing ones, such as -999."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.data.table import Table

FAR = 100  # how many times the usual distance from the median makes a reading doubtful
CODES = (-99.0, *(sign * (10**n - 1) / 10**d for n in range(3, 8) for d in range(3) if d < n - 1 for sign in (1, -1)))


def outlier_warnings(table: Table) -> Iterator[str]:
    """Yield a warning for each channel with an outlier that may stand for a missing reading."""
    for name, column in zip(table.channels, table.readings.T, strict=True):
        known = column[~np.isnan(column)]
        if said := _far(name, known) or _code(name, known):
            yield said


def _far(name: str, known: NDArray[np.float64]) -> str:
    distances = np.abs(known - np.median(known))
    usual = np.quantile(distances, 0.9)
    if not 0 < FAR * usual < distances.max():
        return ""
    return (
        f"{name!r} has a reading of {known[distances.argmax()]:g}, over {FAR} times as far from its median as "
        "nine tenths of the others: is it a real reading? If not, leave the cell empty"
    )


def _code(name: str, known: NDArray[np.float64]) -> str:
    """Warn of readings that consist of nines, as loggers write for missing ones, and lie outside all others."""
    is_code = np.isin(known, CODES)
    codes, counts = np.unique(known[is_code], return_counts=True)
    others = known[~is_code]
    for code, count in zip(codes, counts, strict=True):
        if others.size and _lies_outside(code, int(count), others):
            return (
                f"{name!r} has {code:.10g} {count} {'time' if count == 1 else 'times'}, outside all other readings: "
                "does it stand for a missing reading? If so, leave the cell empty"
            )
    return ""


def _lies_outside(code: float, count: int, others: NDArray[np.float64]) -> bool:
    """Whether a code is the only negative value, or farther from the others than their range (half if it recurs)."""
    if code < 0 <= others.min():
        return True
    beyond = max(others.min() - code, code - others.max())
    return bool(beyond > np.ptp(others) / (2 if count > 1 else 1))
