"""M4 hourly: 414 series of 700 or 960 hours from the M4 competition, each with 48 hours to forecast.

The competition's test hours are not read. The last 48 hours of the published training part are the dev split, forecast
once from everything before them.
"""

import csv
from pathlib import Path

import numpy as np

from training.data.series import Protocol, PublishedSeries, Series
from training.data.source import BrokenLineError, DataSource, LocalFile, load_text
from training.data.table import Table, parse_reading

SOURCE = DataSource(
    name="M4 hourly",
    address=(
        "https://raw.githubusercontent.com/Mcompetitions/M4-methods/6c1067e5a57161249b17289a565178dc7a3fb3ca"
        "/Dataset/Train/Hourly-train.csv"
    ),
    sha256="ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
    licence="no licence file; open competition data",
    citation="Makridakis et al. 2020, The M4 Competition: 100,000 time series and 61 forecasting methods, IJF",
)
FILE = LocalFile("forecasting/m4_hourly_train.csv.gz", SOURCE.sha256)

HORIZON = 48
CHANNELS = tuple(f"H{number}" for number in range(1, 415))
PROTOCOL = Protocol(look_back=None, horizons=(HORIZON,), naive_season=24)


def series() -> Series:
    """Load all series as channels of one table, with their ends aligned."""
    whole = parse(*load_text(SOURCE, FILE))
    border = len(whole.readings) - HORIZON
    return Series(whole, {"train": range(border), "dev": range(border, len(whole.readings))}, PROTOCOL)


def parse(text: str, path: Path) -> Table:
    """Parse CSV text: a header, then lines of a name, its readings, and empty cells.

    Raises:
        BrokenLineError: A line has no reading, or one that is not a number. Names `path` and the line.
    """
    rows = [[cell for cell in row if cell] for row in csv.reader(text.splitlines())][1:]
    found = [[parse_reading(cell, path, number) for cell in row[1:]] for number, row in enumerate(rows, start=2)]
    for number, readings in enumerate(found, start=2):
        if not readings:
            raise BrokenLineError(path, number, "no readings")
    table = np.full((max(map(len, found), default=0), len(found)), np.nan)
    for column, readings in enumerate(found):
        table[len(table) - len(readings) :, column] = readings
    return Table(tuple(row[0] for row in rows), table)


PUBLISHED = PublishedSeries(SOURCE, CHANNELS, "1 hour", PROTOCOL, series)
