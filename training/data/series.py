"""A data set for forecasting: its readings, which rows are for what, and how published errors on it are measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.data import table
from training.data.table import Scaler, Table


@dataclass(frozen=True)
class Protocol:
    """How errors are measured.

    Args:
        look_back: Readings that a windowed forecast may see; None where only whole pasts are forecast from.
        horizons: Readings ahead, of each figure.
        naive_season: The seasonal naive forecast repeats the last so many readings.
    """

    look_back: int | None
    horizons: tuple[int, ...]
    naive_season: int


@dataclass(frozen=True)
class Series:
    """Readings, borders and protocol.

    Args:
        table: All readings.
        splits: The rows of "train", "dev" and perhaps "test"; each begins where the one before it ends.
        protocol: Of the figures.
    """

    table: Table
    splits: Mapping[str, range]
    protocol: Protocol

    @cached_property
    def scaler(self) -> Scaler:
        """Of the training rows."""
        return table.fit_scaler(self.table.readings[slice_of(self.splits["train"])])

    @cached_property
    def standardized(self) -> NDArray[np.float64]:
        """The readings of all splits on the scale of the errors, (rows, channels)."""
        stop = max(rows.stop for rows in self.splits.values())
        return self.scaler.standardize(self.table.readings[:stop])


def slice_of(rows: range) -> slice:
    """Rows as an index."""
    return slice(rows.start, rows.stop)


def shares(num_rows: int, train: float = 0.7, test: float = 0.2) -> dict[str, range]:
    """Rows split in the order of time, as the long-horizon papers round them: dev is what the other two leave."""
    border, last = int(num_rows * train), num_rows - int(num_rows * test)
    return {"train": range(border), "dev": range(border, last), "test": range(last, num_rows)}


def last_part(num_rows: int, horizon: int, dev: float = 0.2) -> dict[str, range]:
    """The last rows as dev, a fifth of all but at least one horizon; all before them as train."""
    border = num_rows - max(round(dev * num_rows), horizon)
    return {"train": range(border), "dev": range(border, num_rows)}
