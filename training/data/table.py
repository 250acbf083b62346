"""Readings of several channels at equal intervals, and the scaling under which forecast errors are measured."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.source import BrokenLineError

LARGEST_READING = 1e12  # as in service.forms.form, which limits the same readings when they are served


@dataclass(frozen=True)
class Table:
    """Readings of several channels, one row per time step.

    Args:
        channels: Name of each column.
        readings: float64 (rows, channels), in the units of the file. NaN before the first reading of a channel.
    """

    channels: tuple[str, ...]
    readings: NDArray[np.float64]


@dataclass(frozen=True)
class Scaler:
    """The standardisation under which published errors are measured: z = (x - mean) / deviation, per channel.

    Args:
        mean: Mean of the training rows, float64 (channels,).
        deviation: Standard deviation of the training rows (not Bessel's), float64 (channels,).
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def standardize(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardise readings (rows, channels)."""
        return (readings - self.mean) / self.deviation


def fit_scaler(train: NDArray[np.float64]) -> Scaler:
    """Compute mean and deviation of training rows (rows, channels). A constant channel gets the deviation 1."""
    deviation = np.nanstd(train, axis=0)
    return Scaler(np.nanmean(train, axis=0), np.where(deviation > 0, deviation, 1.0))


def first_rows(readings: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the row of each channel's first reading, int64 (channels,), for readings (rows, channels)."""
    return np.asarray((~np.isnan(readings)).argmax(axis=0))


def level_and_scale(readings: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each channel's mean and mean absolute deviation, for readings (rows, channels)."""
    center = np.nanmean(readings, axis=0)
    return center, np.nanmean(np.abs(readings - center), axis=0)


def parse(text: str, path: Path) -> Table:
    """Parse CSV text: a header that starts with "date", then lines of a time and one number per channel.

    Raises:
        BrokenLineError: The header, the number of columns or a number is wrong. Names `path` and the line.
    """
    lines = text.splitlines()
    header = lines[0].split(",") if lines else []
    if len(header) < 2 or header[0] != "date":
        raise BrokenLineError(path, 1, "expected a header: date, then one name a channel")
    channels = tuple(header[1:])
    rows = [_parse_row(line, len(channels), path, number) for number, line in enumerate(lines[1:], start=2)]
    return Table(channels, np.array(rows, dtype=np.float64).reshape(len(rows), len(channels)))


def _parse_row(line: str, width: int, path: Path, number: int) -> list[float]:
    cells = line.split(",")[1:]
    if len(cells) != width:
        raise BrokenLineError(path, number, f"{len(cells)} readings, expected {width}")
    return [parse_reading(cell, path, number) for cell in cells]


def parse_reading(cell: str, path: Path, number: int) -> float:
    """Parse a reading, within the limits of the service.

    Raises:
        BrokenLineError: It is not a finite number, or too large. Names `path` and the line `number`.
    """
    try:
        reading = float(cell)
    except ValueError as error:
        raise BrokenLineError(path, number, f"{cell!r} is not a number") from error
    if not math.isfinite(reading):
        raise BrokenLineError(path, number, f"{cell!r} is not a finite number")
    if abs(reading) > LARGEST_READING:
        raise BrokenLineError(path, number, f"{cell!r} is beyond {LARGEST_READING:g}: use a larger unit")
    return reading
