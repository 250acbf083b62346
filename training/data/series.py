"""A data set for forecasting: its readings, its splits, and the protocol by which published errors are measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.data import table
from training.data.source import DataSource
from training.data.table import Scaler, Table


@dataclass(frozen=True)
class Protocol:
    """How errors are measured.

    Args:
        look_back: Readings that a windowed forecast may see. None if forecasts always see the whole past.
        horizons: Horizons that are measured, in readings.
        naive_season: How many of the last readings the seasonal naive forecast repeats.
    """

    look_back: int | None
    horizons: tuple[int, ...]
    naive_season: int


@dataclass(frozen=True)
class Series:
    """Readings, splits and protocol.

    Args:
        table: All readings.
        splits: The rows of "train", "dev" and perhaps "test". Each begins where the one before it ends.
        protocol: How errors are measured.
        times: Times of all rows. Empty if not needed.
        clock: What to print after a time: " UTC", or nothing for local time.
    """

    table: Table
    splits: Mapping[str, range]
    protocol: Protocol
    times: tuple[datetime, ...] = ()
    clock: str = ""

    @cached_property
    def scaler(self) -> Scaler:
        """Mean and standard deviation of the training rows."""
        return table.fit_scaler(self.table.readings[slice_of(self.splits["train"])])

    @cached_property
    def standardized(self) -> NDArray[np.float64]:
        """The standardised readings of all splits, float64 (rows, channels)."""
        stop = max(rows.stop for rows in self.splits.values())
        return self.scaler.standardize(self.table.readings[:stop])


@dataclass(frozen=True)
class PublishedSeries:
    """A published data set, and what is known of it without loading it.

    Args:
        source: Where it comes from.
        channels: Names of the channels.
        interval: Time between two readings, for instance "1 hour".
        protocol: How errors are measured.
        load: Loads it. Raises DataError if it is missing, not the published one, or has a line that cannot be used.
    """

    source: DataSource
    channels: tuple[str, ...]
    interval: str
    protocol: Protocol
    load: Callable[[], Series]


def slice_of(rows: range) -> slice:
    """Convert a range of rows to a slice."""
    return slice(rows.start, rows.stop)


def shares(num_rows: int) -> dict[str, range]:
    """Split rows by time, 7 : 1 : 2, rounded as in the papers on long horizons."""
    border, last = int(num_rows * 0.7), num_rows - int(num_rows * 0.2)
    return {"train": range(border), "dev": range(border, last), "test": range(last, num_rows)}


def last_part(num_rows: int, horizon: int) -> dict[str, range]:
    """Split off the last fifth of the rows as dev, but at least one horizon. Train is all rows before them."""
    border = num_rows - max(round(0.2 * num_rows), horizon)
    return {"train": range(border), "dev": range(border, num_rows)}
