"""A user's own CSV file with a column of times and columns of readings, checked line by line.

Times may be written in any usual way, and cells may be separated by commas, semicolons or tabs. Rows must follow one
another at equal steps of time. Others are refused with their line, or mended in the way that the user has chosen.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data import own_times
from training.data.interval import Interval, infer
from training.data.own_csv import OwnCsv
from training.data.source import BrokenLineError, DataError
from training.data.table import Table, parse_reading

SMALLEST_SHARE_OF_A_STEP = 0.02  # clocks drift
PUT_BACK = timedelta(hours=2)  # the most that a row goes back in time where clocks were put back an hour
NO_READING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none"})  # what programs write into an empty cell

Gaps = Literal["refuse", "interpolate", "ignore"]
Duplicates = Literal["refuse", "first", "last", "mean"]


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
        num_filled: Number of missing readings that were interpolated.
        left_out: Columns that were not named by the user, and whose first filled cell is not a number.
    """

    table: Table
    interval: Interval
    times: tuple[datetime, ...]
    num_filled: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    line: int
    time: datetime
    readings: tuple[float, ...]  # NaN where the cell is empty


def read(path: Path, columns: Columns, gaps: Gaps = "refuse", duplicates: Duplicates = "refuse") -> OwnTable:
    """Read a table.

    Args:
        path: CSV text in UTF-8 with a header, unpacked if its name ends in .gz.
        columns: Columns to read.
        gaps: How to treat missing rows and empty cells: "refuse" them, "interpolate" linearly, or "ignore" missing
            rows, so that the rows around a weekend are neighbours.
        duplicates: How to treat rows of the same time: "refuse" them, or keep the "first", the "last" or the "mean".

    Raises:
        MissingFileError: There is no such file.
        BrokenLineError: A line cannot be used. Names the line and what to do.
    """
    names, rows, left_out = _parse(path, columns)
    rows = _in_order(rows, path, duplicates)
    if len(rows) < 2:
        raise DataError(f"{path}: rows of {len(rows)} times; a forecast needs many")
    times = tuple(row.time for row in rows)
    interval = infer(times)
    places = np.arange(len(rows)) if gaps == "ignore" else _places(rows, interval, path, gaps)
    table = np.full((places[-1] + 1, len(names)), np.nan)
    table[places] = [row.readings for row in rows]
    _check_cells(rows, names, path, gaps)
    filled = _interpolated(table)
    _check_constant(rows, names, filled, path)
    num_filled = int(np.isnan(table).sum() - np.isnan(filled).sum())
    return OwnTable(Table(names, filled), interval, times, num_filled, left_out)


def _parse(path: Path, columns: Columns) -> tuple[tuple[str, ...], list[_Row], tuple[str, ...]]:
    """Names of the columns of readings, their rows, and the names of columns that are left out."""
    file = OwnCsv(path)
    names = columns.targets or tuple(name for name in file.header if name != columns.time)
    time, *at = (file.column(name) for name in (columns.time, *names))
    if not at or time in at:
        raise BrokenLineError(path, 1, "needs a column of readings beside that of the times")
    found = list(file.rows())
    times = own_times.parse([(line, cells[time]) for line, cells in found], path)
    rows = [_Cells(line, when, tuple(cells[i] for i in at)) for when, (line, cells) in zip(times, found, strict=True)]
    kept, numbers = _numeric(names, rows, columns, path)
    return kept, numbers, tuple(name for name in names if name not in kept)


def _numeric(
    names: tuple[str, ...], rows: list["_Cells"], columns: Columns, path: Path
) -> tuple[tuple[str, ...], list[_Row]]:
    """Parse cells as numbers. If the user named no columns, those that do not begin with a number are left out."""
    kept = [i for i in range(len(names)) if columns.targets or not rows or _begins_with_number(rows, i)]
    if not kept:
        shown = ", ".join(f"{cell!r} of {name!r}" for name, cell in zip(names, rows[0].cells, strict=True))
        raise BrokenLineError(path, rows[0].line, f"no column but that of the times holds numbers: {shown}")
    found = [_Row(row.line, row.time, tuple(_parse_cell(row.cells[i], path, row.line) for i in kept)) for row in rows]
    return tuple(names[i] for i in kept), found


@dataclass(frozen=True)
class _Cells:
    line: int
    time: datetime
    cells: tuple[str, ...]


def _parse_cell(cell: str, path: Path, line: int) -> float:
    if "," in cell:
        raise BrokenLineError(path, line, f"{cell!r} has a comma: write a point before decimals, and nothing else")
    if cell.lower() in NO_READING:
        return math.nan
    if not _is_number(cell):
        raise BrokenLineError(path, line, f"{cell!r} is not a number: leave the cell empty where there is no reading")
    return parse_reading(cell, path, line)


def _begins_with_number(rows: list["_Cells"], column: int) -> bool:
    """Whether the first cell of a column that is filled holds a number."""
    first = next((row.cells[column] for row in rows if row.cells[column].lower() not in NO_READING), None)
    return first is not None and _is_number(first.replace(",", ""))  # commas are refused with their line, not left out


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _in_order(rows: list[_Row], path: Path, duplicates: Duplicates) -> list[_Row]:
    """Check that times increase, and merge rows of the same time."""
    kept: list[list[_Row]] = []
    for row in rows:
        if not kept or row.time > kept[-1][0].time:
            kept.append([row])
            continue
        before = kept[-1][0]
        if row.time < before.time:
            raise UnevenTimesError(
                path, row.line, f"{row.time} is before {before.time} of line {before.line}: {_mending(before, row)}"
            )
        if duplicates == "refuse":
            raise UnevenTimesError(
                path,
                row.line,
                f"{row.time} is also the time of line {before.line}: --duplicates first, last or mean keeps one",
            )
        kept[-1].append(row)
    return [_one_of(group, duplicates) for group in kept]


def _mending(before: _Row, row: _Row) -> str:
    """Advice for a row that goes back in time."""
    if before.time - row.time > PUT_BACK:
        return "sort the file by time"
    return "sort the file by time or, where clocks were put back, write times with their zone, 2024-12-31 23:00+01:00"


def _one_of(group: list[_Row], duplicates: Duplicates) -> _Row:
    if duplicates == "mean" and len(group) > 1:
        known = ([reading for reading in column if not math.isnan(reading)] for column in _columns(group))
        return _Row(group[0].line, group[0].time, tuple(fmean(column) if column else math.nan for column in known))
    return group[-1 if duplicates == "last" else 0]


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
                f"{row.time} is {steps:.3g} steps of {interval} after line {before.line}: rows must be evenly spaced, "
                "or --gaps ignore takes them as they come",
            )
        if whole > 1 and gaps == "refuse":
            raise UnevenTimesError(
                path,
                row.line,
                f"{whole - 1} of the rows every {interval} are missing between {before.time} of line {before.line} and "
                f"{row.time}: --gaps interpolate fills them in, --gaps ignore takes the rows as they come",
            )
        places.append(places[-1] + whole)
        if (missing := places[-1] + 1 - len(places)) > len(rows):
            raise UnevenTimesError(
                path,
                row.line,
                f"{missing} rows every {interval} are missing up to {row.time}, more than the {len(rows)} that are "
                "there: mend the times, or --gaps ignore takes the rows as they come",
            )
    return np.array(places)


def _columns(rows: Sequence[_Row]) -> Iterator[tuple[float, ...]]:
    return zip(*(row.readings for row in rows), strict=True)


def _check_cells(rows: Sequence[_Row], names: tuple[str, ...], path: Path, gaps: Gaps) -> None:
    """Check that readings are missing only before the first one of a column, or between two if gaps are filled."""
    for name, column in zip(names, _columns(rows), strict=True):
        known = np.flatnonzero(~np.isnan(column))
        if not known.size:
            continue  # it is refused as one that never changes
        first, last = int(known[0]), int(known[-1])
        if gaps != "interpolate" and known.size <= last - first:
            missing = first + int(np.isnan(column[first:]).argmax())
            raise BrokenLineError(path, rows[missing].line, f"no reading of {name!r}: --gaps interpolate fills it in")
        if last + 1 < len(rows):
            raise BrokenLineError(
                path,
                rows[last + 1].line,
                f"no reading of {name!r} from here to the last line, {rows[-1].line}: there is nothing to measure "
                "forecasts by, take these lines out, or leave the column out by --target",
            )


def _interpolated(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate linearly. Rows before a channel's first reading stay NaN."""
    filled = table.copy()
    places = np.arange(len(table))
    for column in filled.T:
        is_there = ~np.isnan(column)
        if is_there.any():
            inside = places >= is_there.argmax()
            column[inside] = np.interp(places[inside], places[is_there], column[is_there])
    return filled


def _check_constant(rows: Sequence[_Row], names: tuple[str, ...], table: NDArray[np.float64], path: Path) -> None:
    for name, column in zip(names, table.T, strict=True):
        there = column[~np.isnan(column)]
        if len(there) < 2 or np.ptp(there) == 0:
            what = f"every reading of {name!r} is {there[0]:g}" if len(there) else f"{name!r} has no readings"
            raise BrokenLineError(
                path, rows[0].line, f"{what}, to line {rows[-1].line}: nothing to forecast, leave it out by --target"
            )
