"""ETTh1: two years of a transformer station in China, hourly: six loads and the oil temperature (OT).

Papers use the first 20 months: 12 to train, 4 to choose, 4 to test, each month 30 days. The rest stays unused here too.
Knows the file and the protocol's borders; knows nothing of models and windows.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.source import BrokenLineError, DataSource, LocalFile, download, find_local, read_text

SOURCE = DataSource(
    name="ETTh1",
    address="https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/ETTh1.csv",
    sha256="f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    licence="CC BY-ND 4.0",
    citation="Zhou et al. 2021, Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting, AAAI",
)
FILE = LocalFile("forecasting/ETTh1.csv.gz", SOURCE.sha256)

HOURS_PER_MONTH = 30 * 24
SPLITS = {
    "train": range(12 * HOURS_PER_MONTH),
    "dev": range(12 * HOURS_PER_MONTH, 16 * HOURS_PER_MONTH),
    "test": range(16 * HOURS_PER_MONTH, 20 * HOURS_PER_MONTH),
}


@dataclass(frozen=True)
class Table:
    """Readings of several channels, one row an hour.

    Args:
        channels: Name of each column.
        readings: float64 (rows, channels), in the units of the file.
    """

    channels: tuple[str, ...]
    readings: NDArray[np.float64]


@dataclass(frozen=True)
class Scaler:
    """The standardisation that published errors are measured on: z = (x - mean) / deviation, by channel.

    Args:
        mean: Of the training rows, float64 (channels,).
        deviation: Standard deviation of the training rows (not Bessel's), float64 (channels,).
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def standardize(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Readings (rows, channels) on the scale of the errors."""
        return (readings - self.mean) / self.deviation


def load() -> Table:
    """The whole table, from UNROLLED_DATA_DIR or downloaded once.

    Raises:
        DataError: The file is missing, is not the published one, or cannot be read.
    """
    path = find_local(FILE) or download(SOURCE)
    return parse(read_text(path), path)


def fit_scaler(table: Table) -> Scaler:
    """Mean and deviation of the training rows."""
    train = table.readings[SPLITS["train"]]
    return Scaler(train.mean(axis=0), train.std(axis=0))


def parse(text: str, path: Path) -> Table:
    """Read CSV text: a header that starts with "date", then a time and one number a channel on each line.

    Raises:
        BrokenLineError: The header, the number of columns or a number is wrong; names `path` and the line.
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
    return [_parse_reading(cell, path, number) for cell in cells]


def _parse_reading(cell: str, path: Path, number: int) -> float:
    try:
        reading = float(cell)
    except ValueError as error:
        raise BrokenLineError(path, number, f"{cell!r} is not a number") from error
    if not math.isfinite(reading):
        raise BrokenLineError(path, number, f"{cell!r} is not a finite number")
    return reading
