"""A user's own CSV file of readings, as a table of evenly spaced rows.

Rows that are not evenly spaced are refused, naming the line, or repaired in the way that the user chose.
"""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.arguments import option
from training.data.interval import Interval, infer, plural
from training.data.own_rows import (
    INFERRED,
    PUT_BACK,
    Columns,
    Duplicates,
    Notation,
    Row,
    UnevenTimesError,
    columns_of,
    in_order,
    is_day_of_change,
    parse,
)
from training.data.source import BrokenLineError, DataError
from training.data.table import Table

SMALLEST_SHARE_OF_A_STEP = 0.02  # clocks drift
MOST_NAMED = 10  # columns in an advice
SKIPPED = "; where clocks were put forward, name their zone: --zone Europe/Berlin, for instance"

Gaps = Literal["refuse", "interpolate", "zero", "ignore"]


@dataclass(frozen=True)
class OwnTable:
    """A checked table.

    Args:
        table: One row per interval.
        interval: The time between two rows.
        times: Times of the rows, increasing. Those of missing rows are interpolated.
        clock: What to print after a time: " UTC", or nothing for local time.
        num_filled: Number of missing readings that were filled in.
        left_out: Columns that are not read: they have no name or no numbers, and the user named none.
        examples: For each column with decimal commas or separated thousands, a cell and what it is read as.
    """

    table: Table
    interval: Interval
    times: tuple[datetime, ...]
    clock: str
    num_filled: int
    left_out: tuple[str, ...]
    examples: tuple[str, ...]


def read(
    path: Path,
    columns: Columns,
    gaps: Gaps = "refuse",
    duplicates: Duplicates = "refuse",
    notation: Notation = INFERRED,
) -> OwnTable:
    """Read a table.

    Args:
        path: See `OwnCsv`.
        columns: The columns to read.
        gaps: How to treat missing rows and empty cells: "refuse" them, "interpolate" linearly, fill in "zero", or
            "ignore" missing rows, so that the rows around a weekend are neighbours.
        duplicates: How to treat rows of the same time: "refuse" them, or keep the "first", the "last", the "mean" or
            the "sum".
        notation: The file's notation.

    Raises:
        MissingFileError: There is no such file.
        BrokenLineError: A line cannot be used. Names the line and what to do.
    """
    parsed = parse(path, columns, notation)
    names, rows = parsed.names, in_order(parsed.rows, path, duplicates)
    if len(rows) < 2:
        raise DataError(f"{path}: rows of {plural(len(rows), 'time')}; a forecast needs many")
    interval = infer([row.time for row in rows])
    places = np.arange(len(rows)) if gaps == "ignore" else _places(rows, interval, path, gaps)
    table = np.full((places[-1] + 1, len(names)), np.nan)
    table[places] = [row.readings for row in rows]
    _check_cells(rows, names, path, gaps)
    filled = _filled(table, gaps)
    _check_constant(rows, names, filled, path)
    num_filled = int(np.isnan(table).sum() - np.isnan(filled).sum())
    return OwnTable(
        Table(names, filled),
        interval,
        _times(rows, places),
        rows[0].clock,
        num_filled,
        parsed.left_out,
        parsed.examples,
    )


def _places(rows: list[Row], interval: Interval, path: Path, gaps: Gaps) -> NDArray[np.int64]:
    """Return the position of each row on the grid of times, from 0."""
    places = [0]
    for before, row in itertools.pairwise(rows):
        steps = interval.steps(before.time, row.time)
        whole = round(steps)
        if whole < 1 or abs(steps - whole) > SMALLEST_SHARE_OF_A_STEP:
            raise UnevenTimesError(
                path,
                row.line,
                f"{row.when} is {steps:.3g} steps of {interval} after line {before.line}: rows must be evenly spaced, "
                "or use --gaps ignore to take them as they are",
            )
        if whole > 1 and gaps == "refuse":
            raise UnevenTimesError(
                path,
                row.line,
                f"{whole - 1} of the rows {interval.each} {'is' if whole == 2 else 'are'} missing between "
                f"{before.when} of line {before.line} and {row.when}: --gaps interpolate or zero fills them in, "
                "--gaps ignore takes the rows as they are"
                f"{SKIPPED if _may_be_put_forward(before.time, row.time) else ''}",
            )
        places.append(places[-1] + whole)
        if (missing := places[-1] + 1 - len(places)) > len(rows):
            raise UnevenTimesError(
                path,
                row.line,
                f"{missing} rows {interval.each} are missing up to {row.when}, more than the {len(rows)} that are "
                "there: correct the times, or use --gaps ignore to take the rows as they are",
            )
    return np.array(places)


def _times(rows: list[Row], places: NDArray[np.int64]) -> tuple[datetime, ...]:
    """Return the time of each row of the table, given those of the file's `rows` at `places`."""
    start = rows[0].time
    seconds = [(row.time - start).total_seconds() for row in rows]
    return tuple(start + timedelta(seconds=each) for each in np.interp(np.arange(places[-1] + 1), places, seconds))


def _may_be_put_forward(before: datetime, after: datetime) -> bool:
    """Whether a missing hour may be due to clocks put forward: it is on a Sunday in a month of changes."""
    return is_day_of_change(after) and after - before <= PUT_BACK and after.minute == 0


def _check_cells(rows: Sequence[Row], names: tuple[str, ...], path: Path, gaps: Gaps) -> None:
    """Check that readings are missing only before a column's first one, or between two if gaps are filled."""
    for name, column in zip(names, columns_of(rows), strict=True):
        known = np.flatnonzero(~np.isnan(column))
        if not known.size:
            continue  # `_check_constant` refuses it
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
                "forecasts by: remove these lines, or name the other columns with --target",
            )


def _filled(table: NDArray[np.float64], gaps: Gaps) -> NDArray[np.float64]:
    """Fill gaps linearly, or with zeros. Rows before a channel's first reading stay NaN."""
    filled = table.copy()
    places = np.arange(len(table))
    for column in filled.T:
        is_there = ~np.isnan(column)
        if is_there.any():
            inside = places >= is_there.argmax()
            between = np.interp(places[inside], places[is_there], column[is_there])
            column[inside] = np.nan_to_num(column[inside]) if gaps == "zero" else between
    return filled


def _check_constant(rows: Sequence[Row], names: tuple[str, ...], table: NDArray[np.float64], path: Path) -> None:
    known = {name: column[~np.isnan(column)] for name, column in zip(names, table.T, strict=True)}
    constant = [name for name, there in known.items() if len(there) < 2 or np.ptp(there) == 0]
    if not constant:
        return
    there = known[constant[0]]
    what = f"every reading of {constant[0]!r} is {there[0]:g}" if len(there) else f"{constant[0]!r} has no readings"
    others = [name for name in names if name not in constant]
    way_out = f"; name the other columns: {_targets(others)}" if others else ""
    raise BrokenLineError(path, rows[0].line, f"{what}, to line {rows[-1].line}: nothing to forecast{way_out}")


def _targets(names: Sequence[str]) -> str:
    """Return options that name columns, of many only the first."""
    words = itertools.chain.from_iterable(option("--target", name) for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return shlex.join(words) + more
