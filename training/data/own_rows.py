"""The rows of a user's own CSV file of readings: cells parsed as times and numbers, in order of time.

Times and numbers may be in any usual notation. Errors name the line of a cell that cannot be read.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from statistics import fmean
from typing import Literal
from zoneinfo import ZoneInfo

from training.data import own_numbers, own_times
from training.data.own_characters import UTF_8
from training.data.own_csv import OwnCsv
from training.data.own_numbers import Decimal
from training.data.own_times import Order
from training.data.source import BrokenLineError

HOUR_ELSEWHERE = "; if the hour is in another column, join the two into one"
PUT_BACK = timedelta(hours=2)  # the most that rows go back in time when clocks are put back an hour
LATEST_HOUR_OF_CHANGE = 3
SUNDAY, MONTHS_OF_CHANGE = 6, (3, 4, 9, 10, 11)  # when clocks change, in both hemispheres

Duplicates = Literal["refuse", "first", "last", "mean", "sum"]


class UnevenTimesError(BrokenLineError):
    """A line's time is not one interval after that of the line before it."""


@dataclass(frozen=True)
class Columns:
    """Which columns of the file are read.

    Args:
        time: Name of the column of times.
        targets: Names of the columns of readings. If empty, all other columns of numbers.
    """

    time: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Notation:
    """The file's notation, where it cannot be inferred.

    Args:
        decimal: The decimal sign of all numbers.
        order: Order of day and month in numeric dates.
        zone: Name of the time zone of the times, such as Europe/Berlin.
        encoding: Encoding of the text.
    """

    decimal: Decimal | None = None
    order: Order | None = None
    zone: str | None = None
    encoding: str = UTF_8


INFERRED = Notation()


@dataclass(frozen=True)
class Row:
    """A line of the file.

    Args:
        line: Its number, from 1.
        time: Its time.
        clock: What to print after the time: " UTC", or nothing for local time.
        readings: One per column. NaN where the cell is empty.
    """

    line: int
    time: datetime
    clock: str
    readings: tuple[float, ...]

    @property
    def when(self) -> str:
        """The time as errors print it."""
        return f"{self.time}{self.clock}"


@dataclass(frozen=True)
class Parsed:
    """The cells of a file as times and numbers.

    Args:
        names: Names of the columns of readings.
        rows: The rows in the order of the file.
        left_out: Columns that are not read: they have no name or no numbers, and the user named none.
        examples: For each column with decimal commas or separated thousands, a cell and what it is read as.
    """

    names: tuple[str, ...]
    rows: list[Row]
    left_out: tuple[str, ...]
    examples: tuple[str, ...]


def parse(path: Path, columns: Columns, notation: Notation) -> Parsed:
    """Read the cells of a file.

    Raises:
        MissingFileError: There is no such file.
        BrokenLineError: There is no such column, or a cell is not a time or number. Names the line and what to do.
    """
    file = OwnCsv(path, notation.encoding)
    names = columns.targets or tuple(name for name in file.header if name not in ("", columns.time))
    time, *at = (file.column(name) for name in (columns.time, *names))
    if not at or time in at:
        raise BrokenLineError(path, file.header_line, "needs a column of readings beside the times")
    found = list(file.rows())
    zone = ZoneInfo(notation.zone) if notation.zone else None
    times, is_utc = own_times.parse([(line, cells[time]) for line, cells in found], path, notation.order, zone)
    all_columns = [
        own_numbers.Column(name, [(line, cells[i]) for line, cells in found]) for name, i in zip(names, at, strict=True)
    ]
    kept = [column for column in all_columns if columns.targets or not found or column.holds_numbers]
    if not kept:
        line, cells = found[0]
        shown = ", ".join(f"{cells[i]!r} of {name!r}" for name, i in zip(names, at, strict=True))
        raise BrokenLineError(path, line, f"no column but the times holds numbers: {shown}")
    numbers = own_numbers.parse(kept, path, file.delimiter, notation.decimal)
    rows = [
        Row(line, when, " UTC" if is_utc else "", readings)
        for (line, _), when, readings in zip(found, times, zip(*numbers.readings, strict=True), strict=True)
    ]
    kept_names = tuple(column.name for column in kept)
    left_out = (
        tuple(name for name in file.header if name not in (columns.time, *kept_names)) if not columns.targets else ()
    )
    return Parsed(kept_names, rows, left_out, numbers.examples)


def in_order(rows: list[Row], path: Path, duplicates: Duplicates) -> list[Row]:
    """Check that times increase, or reverse rows whose times decrease, and merge rows of the same time.

    Raises:
        UnevenTimesError: Times go back, or two rows have the same time and `duplicates` is "refuse".
    """
    if rows and rows[-1].time < rows[0].time and all(after.time <= row.time for row, after in itertools.pairwise(rows)):
        rows = rows[::-1]
    kept: list[list[Row]] = []
    for row in rows:
        if not kept or row.time > kept[-1][0].time:
            kept.append([row])
            continue
        before = kept[-1][0]
        if row.time < before.time:
            raise UnevenTimesError(
                path, row.line, f"{row.when} is before {before.when} of line {before.line}: {_mending(before, row)}"
            )
        if duplicates == "refuse":
            raise UnevenTimesError(
                path,
                row.line,
                f"{row.when} is also the time of line {before.line}: {_telling_apart(row)}--duplicates first, last, "
                f"mean or sum makes one row of them{HOUR_ELSEWHERE if row.time.time() == time.min else ''}",
            )
        kept[-1].append(row)
    return [_one_of(group, duplicates) for group in kept]


def _mending(before: Row, row: Row) -> str:
    """Return advice for a row that goes back in time."""
    if before.time - row.time > PUT_BACK:
        return "sort the file by time"
    return "sort the file by time or, where clocks were put back, name their zone: --zone Europe/Berlin, for instance"


def _telling_apart(row: Row) -> str:
    """Return advice for a row of the same time as another, if both hours may be those of clocks that were put back."""
    is_hour = row.time.time() != time.min and row.time.hour <= LATEST_HOUR_OF_CHANGE
    if row.clock or not is_hour or not is_day_of_change(row.time):
        return ""
    return "if clocks were put back, name their zone (--zone Europe/Berlin, for instance); otherwise "


def is_day_of_change(day: datetime) -> bool:
    """Whether clocks may change on a day: a Sunday in a month of changes."""
    return day.weekday() == SUNDAY and day.month in MONTHS_OF_CHANGE


def _one_of(group: list[Row], duplicates: Duplicates) -> Row:
    if duplicates in ("mean", "sum") and len(group) > 1:
        merge = fmean if duplicates == "mean" else math.fsum
        known = ([reading for reading in column if not math.isnan(reading)] for column in columns_of(group))
        return Row(
            group[0].line,
            group[0].time,
            group[0].clock,
            tuple(merge(column) if column else math.nan for column in known),
        )
    return (max if duplicates == "last" else min)(group, key=lambda row: row.line)


def columns_of(rows: Sequence[Row]) -> Iterator[tuple[float, ...]]:
    """Yield the readings of each column."""
    return zip(*(row.readings for row in rows), strict=True)
