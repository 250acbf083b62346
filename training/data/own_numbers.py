"""Numbers in a user's own file: with decimal point or comma, thousands separators, and at most one unit per column.

All cells of a column must fit the same decimal sign. If both fit and give different numbers, as in 1,234, the file's
other columns decide, else its delimiter, else the user must.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]

from training.data.source import BrokenLineError
from training.data.table import parse_reading

Cell = tuple[int, str]  # the row's line number and the cell's text
Decimal = Literal[".", ","]
DECIMALS: tuple[Decimal, ...] = (".", ",")
NO_READING = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "null", "none"})  # what programs write into an empty cell
MINUS = "\u2212"
_SPACES = " \u00a0\u2009\u202f"  # with the no-break and thin spaces that programs use between thousands
_CURRENCY = "[A-Z]{0,3}[$\u00a2\u00a3\u00a5\u20a0-\u20cf]"
_UNIT = rf"{_CURRENCY}|[^\W\d_][\w%/\u00b0*^. -]{{0,15}}|[%\u2030\u00b0/][\w%/*^. -]{{0,15}}"
_NAMES = {".": "point", ",": "comma"}


class _Written(NamedTuple):
    """A number in Python's notation, and its unit."""

    number: str
    unit: str


class _Format:
    """The notation of numbers with a given decimal sign."""

    def __init__(self, decimal: Decimal) -> None:
        self._decimal = decimal
        self._groups = f"{',' if decimal == '.' else '.'}'\u2019{_SPACES}"
        sign, blanks = rf"[+\-{MINUS}]?", f"[{_SPACES}]*"
        whole = rf"[1-9]\d{{0,2}}(?P<group>[{self._groups}])\d{{3}}(?:(?P=group)\d{{3}})*|\d+"
        number = rf"(?:{whole})(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+"
        self._pattern = re.compile(
            rf"(?P<sign>{sign}){blanks}(?P<before>{_CURRENCY})?{blanks}(?P<inner>{sign})"
            rf"(?P<number>(?:{number})(?:[eE][+-]?\d+)?){blanks}(?P<unit>{_UNIT})?"
        )
        self._plain = str.maketrans(decimal, ".", self._groups)

    def fits(self, cell: str) -> bool:
        """Whether a cell is a number in this notation."""
        return self._pattern.fullmatch(cell) is not None

    def read(self, cell: str) -> _Written:
        """Read the number in a cell that fits."""
        match = self._pattern.fullmatch(cell)
        if match is None:
            raise ValueError(f"{cell!r} does not fit")
        sign = (match["sign"] + match["inner"]).replace(MINUS, "-")
        return _Written(sign + match["number"].translate(self._plain), (match["before"] or "") + (match["unit"] or ""))


_FORMATS = {decimal: _Format(decimal) for decimal in DECIMALS}


@dataclass(frozen=True)
class Column:
    """The cells of a column.

    Args:
        name: Name of the column.
        cells: The cells of all rows, including those without a reading.
    """

    name: str
    cells: Sequence[Cell]

    @cached_property
    def filled(self) -> list[Cell]:
        """The cells that are not empty and do not say that a reading is missing."""
        return [(line, cell) for line, cell in self.cells if cell.lower() not in NO_READING]

    @property
    def holds_numbers(self) -> bool:
        """Whether the first filled cell is a number without unit, or all are numbers with the same unit."""
        if not self.filled:
            return False
        first = self.filled[0][1]
        fitting = [_FORMATS[decimal] for decimal in DECIMALS if _FORMATS[decimal].fits(first)]
        if any(not format_.read(first).unit for format_ in fitting):
            return True
        return any(
            all(format_.fits(cell) and format_.read(cell).unit == format_.read(first).unit for _, cell in self.filled)
            for format_ in fitting
        )

    def misfit(self, decimal: Decimal) -> Cell | None:
        """Return the first cell that is not a number with a decimal sign."""
        return next((found for found in self.filled if not _FORMATS[decimal].fits(found[1])), None)

    def doubtful(self) -> Cell | None:
        """Return the first cell that means one number with a decimal point and another with a decimal comma."""
        point, comma = _FORMATS["."], _FORMATS[","]
        return next((found for found in self.filled if point.read(found[1]) != comma.read(found[1])), None)


class Numbers(NamedTuple):
    """The numbers in columns.

    Attributes:
        readings: The readings of each column, NaN where there is none.
        examples: For each column with decimal commas or separated thousands, a cell and what it is read as.
    """

    readings: list[list[float]]
    examples: tuple[str, ...]


def parse(columns: Sequence[Column], path: Path, delimiter: str, decimal: Decimal | None = None) -> Numbers:
    """Parse the readings in columns of one file.

    Args:
        columns: Columns of the file.
        path: File to name in errors.
        delimiter: Separator of its cells.
        decimal: The decimal sign of all columns. None to infer it.

    Raises:
        BrokenLineError: A cell is not a number, or has another unit or decimal sign than the rest of its column; or
            the decimal sign is ambiguous.
    """
    found: list[list[float]] = []
    examples: list[str] = []
    signs = _signs(columns, path, delimiter, decimal)
    bar = tqdm(columns, desc=f"numbers of {path.name}", unit=" columns", leave=False, disable=None, delay=1)
    for column, sign in zip(bar, signs, strict=True):
        found.append(_readings(column, sign, path))
        examples += _example(column, sign)
    return Numbers(found, tuple(examples))


def _signs(columns: Sequence[Column], path: Path, delimiter: str, decimal: Decimal | None) -> list[Decimal]:
    """Return the decimal sign of each column."""
    allowed = DECIMALS if decimal is None else (decimal,)
    fitting = [_fitting(column, allowed, path) for column in columns]
    unambiguous = {signs[0] for signs in fitting if len(signs) == 1}
    return [_sign(column, signs, unambiguous, delimiter, path) for column, signs in zip(columns, fitting, strict=True)]


def _fitting(column: Column, allowed: Sequence[Decimal], path: Path) -> list[Decimal]:
    """Return the decimal signs that all cells of a column fit: at least one."""
    misfits = {sign: column.misfit(sign) for sign in allowed}
    signs = [sign for sign, misfit in misfits.items() if misfit is None]
    if signs:
        return signs
    line, cell = max(misfit for misfit in misfits.values() if misfit is not None)
    if not any(_FORMATS[sign].fits(cell) for sign in DECIMALS):
        _refuse(column, cell, path, line)
    if len(allowed) == 1:
        raise BrokenLineError(path, line, f"{cell!r} of {column.name!r} has no decimal {_NAMES[allowed[0]]}")
    first_line, first = min(misfit for misfit in misfits.values() if misfit is not None)
    raise BrokenLineError(
        path,
        line,
        f"{cell!r} of {column.name!r} and {first!r} of line {first_line} have different decimal signs: write all "
        "numbers of a column alike",
    )


def _refuse(column: Column, cell: str, path: Path, line: int) -> None:
    """Raise the error for a cell of a column that is not a number."""
    if cell.lower().lstrip("+-") in ("inf", "infinity"):
        parse_reading(cell, path, line)
    if not any(_FORMATS[sign].fits(each) for _, each in column.filled for sign in DECIMALS):
        raise BrokenLineError(
            path, line, f"{cell!r} is not a number, nor is any cell of {column.name!r}: name columns of numbers"
        )
    raise BrokenLineError(path, line, f"{cell!r} is not a number: leave the cell empty where there is no reading")


def _sign(column: Column, fitting: Sequence[Decimal], unambiguous: set[Decimal], delimiter: str, path: Path) -> Decimal:
    """Choose the decimal sign of a column among those that fit."""
    doubtful = column.doubtful() if len(fitting) > 1 else None
    if doubtful is None:
        return fitting[0]
    if len(unambiguous) == 1:
        return next(iter(unambiguous))
    line, cell = doubtful
    if delimiter == ",":
        return "."
    if delimiter == ";" and "," in cell:
        return ","
    meanings = " or ".join(_FORMATS[sign].read(cell).number for sign in fitting)
    raise BrokenLineError(
        path, line, f"{cell!r} of {column.name!r} may be {meanings}: choose with --decimal . or --decimal ,"
    )


def _readings(column: Column, sign: Decimal, path: Path) -> list[float]:
    unit, readings = None, []
    for line, cell in column.cells:
        if cell.lower() in NO_READING:
            readings.append(math.nan)
            continue
        written = _FORMATS[sign].read(cell)
        unit = written.unit if unit is None else unit
        if written.unit != unit:
            raise BrokenLineError(
                path,
                line,
                f"{cell!r} of {column.name!r} has {_named(written.unit)}, and cells above have {_named(unit)}: use "
                "one unit in the whole column",
            )
        readings.append(parse_reading(written.number, path, line))
    return readings


def _named(unit: str) -> str:
    return f"the unit {unit!r}" if unit else "no unit"


def _example(column: Column, sign: Decimal) -> Iterable[str]:
    """Yield at most one example: a cell whose number is not written as Python would write it."""
    for _, cell in column.filled:
        written = _FORMATS[sign].read(cell)
        if written.number.lstrip("+-") not in cell:
            yield f"{cell!r} of {column.name!r} is read as {written.number}"
            return
