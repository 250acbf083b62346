"""The data sets that a forecaster can be trained on: published ones by name, or a user's own CSV file."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Literal

from pydantic import Field

from training.data import etth1, ettm1, exchange, illness, m4_hourly, own_table
from training.data.own_characters import UTF_8
from training.data.own_numbers import Decimal
from training.data.own_rows import Columns, Duplicates, Notation
from training.data.own_table import Gaps
from training.data.own_times import Order
from training.data.series import Protocol, Series, last_part
from training.data.source import DataSource, check_unchanged, own_source
from training.settings import Section

PUBLISHED: dict[str, ModuleType] = {
    "etth1": etth1,
    "ettm1": ettm1,
    "exchange": exchange,
    "illness": illness,
    "m4_hourly": m4_hourly,
}


class OwnFile(Section):
    """A user's own CSV file, and how it is forecast."""

    path: str
    sha256: str
    time: str = Field(description="column of times")
    targets: tuple[str, ...] = Field(min_length=1, description="columns of readings")
    gaps: Gaps = "refuse"
    duplicates: Duplicates = "refuse"
    decimal: Decimal | None = Field(default=".", description="decimal mark; None: found from the numbers")
    dates: Order | None = Field(default=None, description="order of day and month; None: found from the dates")
    zone: str | None = Field(default=None, description="time zone of the times")
    encoding: str = UTF_8
    interval: str = Field(description="time between two rows")
    horizon: int = Field(ge=1, description="number of future readings that are measured")
    naive_season: int = Field(ge=1, description="number of readings that the seasonal naive forecast repeats")


class DataSettings(Section):
    """The data set to forecast."""

    name: Literal["etth1", "ettm1", "exchange", "illness", "m4_hourly"] = "etth1"
    own: OwnFile | None = Field(default=None, description="your own file, instead of a published data set")
    choice_stride: int = Field(default=8, ge=1, description="stride of the dev origins used to choose the epoch")


def load(data: DataSettings) -> Series:
    """Load a data set.

    Raises:
        DataError: It is missing, not the published one, or has a line that cannot be used.
    """
    if data.own is not None:
        return _load_own(data.own)
    read: Callable[[], Series] = PUBLISHED[data.name].series
    return read()


def source_of(data: DataSettings) -> DataSource:
    """Return the source of a data set."""
    if data.own is not None:
        return own_source(data.own.path, data.own.sha256)
    source: DataSource = PUBLISHED[data.name].SOURCE
    return source


def channels_of(data: DataSettings) -> tuple[str, ...]:
    """Return the names of a data set's channels, without loading it."""
    found: tuple[str, ...] = data.own.targets if data.own is not None else PUBLISHED[data.name].CHANNELS
    return found


def interval_of(data: DataSettings) -> str:
    """Return the time between two readings, for instance "1 hour"."""
    return data.own.interval if data.own is not None else str(PUBLISHED[data.name].INTERVAL)


def horizons_of(data: DataSettings) -> tuple[int, ...]:
    """Return the horizons of the figures, in readings."""
    if data.own is not None:
        return (data.own.horizon,)
    protocol: Protocol = PUBLISHED[data.name].PROTOCOL
    return protocol.horizons


def _load_own(own: OwnFile) -> Series:
    check_unchanged(Path(own.path), own.sha256)
    notation = Notation(own.decimal, own.dates, own.zone, own.encoding)
    found = own_table.read(Path(own.path), Columns(own.time, own.targets), own.gaps, own.duplicates, notation)
    protocol = Protocol(look_back=None, horizons=(own.horizon,), naive_season=own.naive_season)
    return Series(found.table, last_part(len(found.table.readings), own.horizon), protocol, found.times)
