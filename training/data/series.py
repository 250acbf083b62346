"""A data set for forecasting: its readings, its splits, and the protocol of published errors on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.data import table
from training.data.table import Scaler, Table


@dataclass(frozen=True)
class Protocol:
    """How errors are measured.

    Args:
        look_back: Readings that a windowed forecast may see. None if forecasts are from the whole past only.
        horizons: Readings ahead of each figure.
        naive_season: Number of last readings that the seasonal naive forecast repeats.
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
        times: Of all rows. Empty if nobody needs them.
    """

    table: Table
    splits: Mapping[str, range]
    protocol: Protocol
    times: tuple[datetime, ...] = ()

    @cached_property
    def scaler(self) -> Scaler:
        """Mean and standard deviation of the training rows."""
        return table.fit_scaler(self.table.readings[slice_of(self.splits["train"])])

    @cached_property
    def standardized(self) -> NDArray[np.float64]:
        """The standardised readings of all splits, float64 (rows, channels)."""
        stop = max(rows.stop for rows in self.splits.values())
        return self.scaler.standardize(self.table.readings[:stop])


def slice_of(rows: range) -> slice:
    """Convert rows to an index."""
    return slice(rows.start, rows.stop)


def shares(num_rows: int) -> dict[str, range]:
    """Split rows in the order of time, 7 : 1 : 2, rounded as in the long-horizon papers."""
    border, last = int(num_rows * 0.7), num_rows - int(num_rows * 0.2)
    return {"train": range(border), "dev": range(border, last), "test": range(last, num_rows)}


def last_part(num_rows: int, horizon: int) -> dict[str, range]:
    """Split off the last rows as dev, a fifth of them but at least one horizon. Train is all rows before them."""
    border = num_rows - max(round(0.2 * num_rows), horizon)
    return {"train": range(border), "dev": range(border, num_rows)}
