"""Formats figures with their limits, as a table or line by line."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

from bench.figure import Figure

HEADER = ("figure", "value", "", "limit", "")
WIDTHS = (44, 12, 8, 12, 0)  # of the columns, for lines printed before the others are known


def table(figures: Sequence[Figure]) -> str:
    """Return a table with one line per figure. Those without a limit are for the record."""
    rows = [HEADER, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(_line(row, widths) for row in rows)


def line(figure: Figure) -> str:
    """Return the line of one figure, to be printed as soon as it is known."""
    return _line(_row(figure), WIDTHS)


def machine() -> str:
    """Describe the machine, its load, and the versions that figures depend on."""
    load = "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg())
    packages = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "bentoml", "uvicorn"))
    return f"{os.cpu_count()} cores, {platform.machine()}, load {load}; Python {platform.python_version()}, {packages}"


def _row(figure: Figure) -> tuple[str, ...]:
    limit, failing = "", ""
    if figure.at_least is not None:
        limit, failing = f"≥ {number(figure.at_least)}", "below the limit"
    elif figure.at_most is not None:
        limit, failing = f"≤ {number(figure.at_most)}", "over the limit"
    return (figure.name, number(figure.value), figure.unit, limit, "" if figure.is_kept else failing)


def number(value: float) -> str:
    """Format a number with three significant digits, or all before the decimal point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, value, unit, limit, verdict = row
    cells = (name.ljust(widths[0]), value.rjust(widths[1]), unit.ljust(widths[2]), limit.rjust(widths[3]), verdict)
    return "  ".join(cells).rstrip()
