"""The data sets that a forecaster can be trained on: published ones by name, or a user's own CSV file."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from training.data import etth1, ettm1, exchange, illness, m4_hourly, own_table
from training.data.own_file import OwnFile
from training.data.own_numbers import Decimal
from training.data.own_rows import Columns, Duplicates, Notation
from training.data.own_table import Gaps
from training.data.own_times import Order
from training.data.series import Protocol, PublishedSeries, Series, last_part
from training.settings import Section

PUBLISHED: dict[str, PublishedSeries] = {
    "etth1": etth1.PUBLISHED,
    "ettm1": ettm1.PUBLISHED,
    "exchange": exchange.PUBLISHED,
    "illness": illness.PUBLISHED,
    "m4_hourly": m4_hourly.PUBLISHED,
}


class OwnSeries(OwnFile):
    """A user's own CSV file, and how it is forecast. It has what a `PublishedSeries` data set has."""

    time: str = Field(description="column of times")
    targets: tuple[str, ...] = Field(min_length=1, description="columns of readings")
    gaps: Gaps = "refuse"
    duplicates: Duplicates = "refuse"
    decimal: Decimal | None = Field(default=".", description="decimal mark; None: found from the numbers")
    dates: Order | None = Field(default=None, description="order of day and month; None: found from the dates")
    zone: str | None = Field(default=None, description="time zone of the times")
    interval: str = Field(description="time between two rows")
    horizon: int = Field(ge=1, description="number of future readings that are measured")
    naive_season: int = Field(ge=1, description="number of readings that the seasonal naive forecast repeats")

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.targets

    @property
    def protocol(self) -> Protocol:
        """How errors are measured."""
        return Protocol(look_back=None, horizons=(self.horizon,), naive_season=self.naive_season)

    def load(self) -> Series:
        """Load the file.

        Raises:
            DataError: It is missing, has changed, or has a line that cannot be used.
        """
        self.check_unchanged()
        notation = Notation(self.decimal, self.dates, self.zone, self.encoding)
        columns = Columns(self.time, self.targets)
        found = own_table.read(Path(self.path), columns, self.gaps, self.duplicates, notation)
        return Series(
            found.table, last_part(len(found.table.readings), self.horizon), self.protocol, found.times, found.clock
        )


class DataSettings(Section):
    """The data set to forecast."""

    name: Literal["etth1", "ettm1", "exchange", "illness", "m4_hourly"] = "etth1"
    own: OwnSeries | None = Field(default=None, description="your own file, instead of a published data set")
    choice_stride: int = Field(default=8, ge=1, description="stride of the dev origins used to choose the epoch")

    @property
    def chosen(self) -> OwnSeries | PublishedSeries:
        """The user's own file, or else the published data set."""
        return self.own or PUBLISHED[self.name]
