"""A user's own CSV file with a column of times and columns of readings, checked line by line.

Times and numbers may be written in any usual way. Rows must follow one another at equal steps of time, and what does
not is refused with its line, or mended in the way that the user has named.
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

import numpy as np
from numpy.typing import NDArray

from training.data import own_numbers, own_times
from training.data.interval import Interval, infer, plural
from training.data.own_characters import UTF_8
from training.data.own_csv import OwnCsv
from training.data.own_numbers import Decimal
from training.data.own_times import Order
from training.data.source import BrokenLineError, DataError
from training.data.table import Table

SMALLEST_SHARE_OF_A_STEP = 0.02  # clocks drift
HOUR_ELSEWHERE = "; if the hour is in another column, join the two into one"
SKIPPED = "; where clocks were put forward, name their zone: --zone Europe/Berlin, for instance"
PUT_BACK = timedelta(hours=2)  # the most that a row goes back in time where clocks were put back an hour

SUNDAY, MONTHS_OF_CHANGE = 6, (3, 4, 9, 10, 11)  # when clocks are put forward or back, in both halves of the world

Gaps = Literal["refuse", "interpolate", "zero", "ignore"]
Duplicates = Literal["refuse", "first", "last", "mean", "sum"]


class UnevenTimesError(BrokenLineError):
    """A line whose time is not one step after that of the line before it."""


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
class OwnTable:
    """A checked table.

    Args:
        table: One row a step of time.
        interval: The step.
        times: Of the rows that are in the file, increasing.
        clock: What to say after a time: " UTC", or nothing where the file's own clocks say it.
        num_filled: Number of missing readings that were filled in.
        left_out: Columns that were not named by the user, and that have no name or no numbers.
        examples: Of columns with decimal commas or separated thousands, a cell and what it is read as.
    """

    table: Table
    interval: Interval
    times: tuple[datetime, ...]
    clock: str
    num_filled: int
    left_out: tuple[str, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    line: int
    time: datetime
    clock: str
    readings: tuple[float, ...]  # NaN where the cell is empty

    @property
    def when(self) -> str:
        """The time as it is told."""
        return f"{self.time}{self.clock}"


@dataclass(frozen=True)
class Writing:
    """How the file is written, where it does not tell itself.

    Args:
        decimal: What all numbers have before their decimals.
        order: Of day and month in dates in numbers.
        zone: Name of the zone whose clocks say the times, such as Europe/Berlin.
        encoding: Of its characters.
    """

    decimal: Decimal | None = None
    order: Order | None = None
    zone: str | None = None
    encoding: str = UTF_8


def read(
    path: Path,
    columns: Columns,
    gaps: Gaps = "refuse",
    duplicates: Duplicates = "refuse",
    writing: Writing = Writing(),
) -> OwnTable:
    """Read a table.

    Args:
        path: See `OwnCsv`.
        columns: Which of its columns.
        gaps: How to treat missing rows and empty cells: "refuse" them, "interpolate" linearly, fill in "zero", or
            "ignore" missing rows, so that the rows around a weekend are neighbours.
        duplicates: How to treat rows of the same time: "refuse" them, or keep the "first", the "last", the "mean" or
            the "sum".
        writing: How the file is written.

    Raises:
        MissingFileError: There is no such file.
        BrokenLineError: A line cannot be used. Names the line and what to do.
    """
    parsed = _parse(path, columns, writing)
    names, rows = parsed.names, _in_order(parsed.rows, path, duplicates)
    if len(rows) < 2:
        raise DataError(f"{path}: rows of {plural(len(rows), 'time')}; a forecast needs many")
    times = tuple(row.time for row in rows)
    interval = infer(times)
    places = np.arange(len(rows)) if gaps == "ignore" else _places(rows, interval, path, gaps)
    table = np.full((places[-1] + 1, len(names)), np.nan)
    table[places] = [row.readings for row in rows]
    _check_cells(rows, names, path, gaps)
    filled = _filled(table, gaps)
    _check_constant(rows, names, filled, path)
    num_filled = int(np.isnan(table).sum() - np.isnan(filled).sum())
    return OwnTable(Table(names, filled), interval, times, rows[0].clock, num_filled, parsed.left_out, parsed.examples)


@dataclass(frozen=True)
class _Parsed:
    """The cells of a file as times and numbers."""

    names: tuple[str, ...]
    rows: list[_Row]
    left_out: tuple[str, ...]
    examples: tuple[str, ...]


def _parse(path: Path, columns: Columns, writing: Writing) -> _Parsed:
    file = OwnCsv(path, writing.encoding)
    names = columns.targets or tuple(name for name in file.header if name not in ("", columns.time))
    time, *at = (file.column(name) for name in (columns.time, *names))
    if not at or time in at:
        raise BrokenLineError(path, file.header_line, "needs a column of readings beside that of the times")
    found = list(file.rows())
    zone = ZoneInfo(writing.zone) if writing.zone else None
    times, is_utc = own_times.parse([(line, cells[time]) for line, cells in found], path, writing.order, zone)
    all_columns = [
        own_numbers.Column(name, [(line, cells[i]) for line, cells in found]) for name, i in zip(names, at, strict=True)
    ]
    kept = [column for column in all_columns if columns.targets or not found or column.holds_numbers]
    if not kept:
        line, cells = found[0]
        shown = ", ".join(f"{cells[i]!r} of {name!r}" for name, i in zip(names, at, strict=True))
        raise BrokenLineError(path, line, f"no column but that of the times holds numbers: {shown}")
    numbers = own_numbers.parse(kept, path, file.delimiter, writing.decimal)
    rows = [
        _Row(line, when, " UTC" if is_utc else "", readings)
        for (line, _), when, readings in zip(found, times, zip(*numbers.readings, strict=True), strict=True)
    ]
    kept_names = tuple(column.name for column in kept)
    left_out = (
        tuple(name for name in file.header if name not in (columns.time, *kept_names)) if not columns.targets else ()
    )
    return _Parsed(kept_names, rows, left_out, numbers.examples)


def _in_order(rows: list[_Row], path: Path, duplicates: Duplicates) -> list[_Row]:
    """Check that times increase, or reverse rows whose times decrease, and merge rows of the same time."""
    if rows and rows[-1].time < rows[0].time and all(after.time <= row.time for row, after in itertools.pairwise(rows)):
        rows = rows[::-1]
    kept: list[list[_Row]] = []
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
                f"{row.when} is also the time of line {before.line}: --duplicates first, last, mean or sum makes "
                f"one row of them{HOUR_ELSEWHERE if row.time.time() == time.min else ''}",
            )
        kept[-1].append(row)
    return [_one_of(group, duplicates) for group in kept]


def _mending(before: _Row, row: _Row) -> str:
    """Advice for a row that goes back in time."""
    if before.time - row.time > PUT_BACK:
        return "sort the file by time"
    return "sort the file by time or, where clocks were put back, name their zone: --zone Europe/Berlin, for instance"


def _one_of(group: list[_Row], duplicates: Duplicates) -> _Row:
    if duplicates in ("mean", "sum") and len(group) > 1:
        merge = fmean if duplicates == "mean" else math.fsum
        known = ([reading for reading in column if not math.isnan(reading)] for column in _columns(group))
        return _Row(
            group[0].line,
            group[0].time,
            group[0].clock,
            tuple(merge(column) if column else math.nan for column in known),
        )
    return (max if duplicates == "last" else min)(group, key=lambda row: row.line)


def _places(rows: list[_Row], interval: Interval, path: Path, gaps: Gaps) -> NDArray[np.int64]:
    """The place of each row on the grid of times, from 0."""
    places = [0]
    for before, row in itertools.pairwise(rows):
        steps = interval.steps(before.time, row.time)
        whole = round(steps)
        if whole < 1 or abs(steps - whole) > SMALLEST_SHARE_OF_A_STEP:
            raise UnevenTimesError(
                path,
                row.line,
                f"{row.when} is {steps:.3g} steps of {interval} after line {before.line}: rows must be evenly spaced, "
                "or --gaps ignore takes them as they come",
            )
        if whole > 1 and gaps == "refuse":
            raise UnevenTimesError(
                path,
                row.line,
                f"{whole - 1} of the rows {interval.each} {'is' if whole == 2 else 'are'} missing between "
                f"{before.when} of line {before.line} and {row.when}: --gaps interpolate or zero fills them in, "
                "--gaps ignore takes the rows as they come"
                f"{SKIPPED if _may_be_put_forward(before.time, row.time) else ''}",
            )
        places.append(places[-1] + whole)
        if (missing := places[-1] + 1 - len(places)) > len(rows):
            raise UnevenTimesError(
                path,
                row.line,
                f"{missing} rows {interval.each} are missing up to {row.when}, more than the {len(rows)} that are "
                "there: mend the times, or --gaps ignore takes the rows as they come",
            )
    return np.array(places)


def _may_be_put_forward(before: datetime, after: datetime) -> bool:
    """Whether clocks that are put forward explain a missing hour: that is done on Sundays of some months."""
    is_day = after.weekday() == SUNDAY and after.month in MONTHS_OF_CHANGE
    return is_day and after - before <= PUT_BACK and after.minute == 0


def _columns(rows: Sequence[_Row]) -> Iterator[tuple[float, ...]]:
    return zip(*(row.readings for row in rows), strict=True)


def _check_cells(rows: Sequence[_Row], names: tuple[str, ...], path: Path, gaps: Gaps) -> None:
    """Check that readings are missing only before the first one of a column, or between two if gaps are filled."""
    for name, column in zip(names, _columns(rows), strict=True):
        known = np.flatnonzero(~np.isnan(column))
        if not known.size:
            continue  # it is refused as one that never changes
        first, last = int(known[0]), int(known[-1])
        if gaps in ("refuse", "ignore") and known.size <= last - first:
            missing = first + int(np.isnan(column[first:]).argmax())
            raise BrokenLineError(
                path, rows[missing].line, f"no reading of {name!r}: --gaps interpolate or zero fills it in"
            )
        if last + 1 < len(rows):
            raise BrokenLineError(
                path,
                rows[last + 1].line,
                f"no reading of {name!r} from here to the last line, {rows[-1].line}: there is nothing to measure "
                "forecasts by, take these lines out, or leave the column out by --target",
            )


def _filled(table: NDArray[np.float64], gaps: Gaps) -> NDArray[np.float64]:
    """Interpolate linearly, or fill in zeros. Rows before a channel's first reading stay NaN."""
    filled = table.copy()
    places = np.arange(len(table))
    for column in filled.T:
        is_there = ~np.isnan(column)
        if is_there.any():
            inside = places >= is_there.argmax()
            between = np.interp(places[inside], places[is_there], column[is_there])
            column[inside] = np.nan_to_num(column[inside]) if gaps == "zero" else between
    return filled


def _check_constant(rows: Sequence[_Row], names: tuple[str, ...], table: NDArray[np.float64], path: Path) -> None:
    for name, column in zip(names, table.T, strict=True):
        there = column[~np.isnan(column)]
        if len(there) < 2 or np.ptp(there) == 0:
            what = f"every reading of {name!r} is {there[0]:g}" if len(there) else f"{name!r} has no readings"
            raise BrokenLineError(
                path, rows[0].line, f"{what}, to line {rows[-1].line}: nothing to forecast, leave it out by --target"
            )
