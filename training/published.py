"""Published figures, each with its source, and tables that compare ours with them.

Published figures are data, in published.toml. Ours are passed in: those of checkpoints by `training.comparison`, those
of bundles by `export.quality.comparison`.
"""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("published.toml")


class Part(BaseModel):
    """A part of the file: immutable, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(Part):
    """A published figure.

    Attributes:
        model: Name of the published model.
        value: The figure, in the table's unit.
        seen: S if it was seen in the authors' repository, paper or result file; T if it is quoted by a third party.
        source: Who published it.
    """

    model: str
    value: float
    seen: Literal["S", "T"]
    source: str


class Table(Part):
    """Figures that may be compared.

    Attributes:
        title: Task, data and unit.
        data: Names of data sets. A figure of ours fits if the name of one of its sources begins with one of them.
        metric: Name of our figure.
        better: Whether "lower" or "higher" values are better.
        split: The split that the rows were measured on.
        rows: The published figures.
        note: A caveat of the comparison.
    """

    title: str
    data: Annotated[tuple[str, ...], Field(min_length=1)]
    metric: str
    better: Literal["lower", "higher"]
    split: str
    rows: Annotated[tuple[Published, ...], Field(min_length=1)]
    note: str = ""

    def fits(self, own: "OurFigure") -> bool:
        """Whether a figure of ours may be compared with this table's."""
        is_of_data = any(source.startswith(name) for name in self.data for source in own.data)
        return is_of_data and own.metric == self.metric


@dataclass(frozen=True)
class OurFigure:
    """A figure of ours.

    Args:
        model: Name of the bundle or checkpoint, and what was measured.
        data: Names of the data sets that it was trained on.
        metric: Name of the figure.
        split: The split that it was measured on.
        value: The figure.
        deviation: Standard deviation over seeds, if there are several.
    """

    model: str
    data: tuple[str, ...]
    metric: str
    split: str
    value: float
    deviation: float | None = None


def load(file: Path = FILE) -> tuple[Table, ...]:
    """Return the published tables."""
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(Table.model_validate(table) for table in content["table"])


def compare(own: Iterable[OurFigure], tables: Iterable[Table]) -> Iterator[str]:
    """Yield the lines of every table that a figure of ours fits, best figure first. Ours are marked by a star."""
    figures = list(own)
    for table in tables:
        ours = [figure for figure in figures if table.fits(figure)]
        if ours:
            yield from _lines(table, ours)


def _lines(table: Table, ours: Iterable[OurFigure]) -> Iterator[str]:
    rows = [
        (row.value, f"  {_number(row.value):>8}  {row.model}, {table.split}: {row.source} [{row.seen}]")
        for row in table.rows
    ]
    rows += [(own.value, f"* {_number(own.value):>8}  {own.model}, {own.split}{_deviation(own)}") for own in ours]
    yield f"{table.title} ({table.better} is better)"
    if table.note:
        yield f"  {table.note}"
    yield from (line for _, line in sorted(rows, key=lambda row: row[0], reverse=table.better == "higher"))
    yield ""


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def _deviation(own: OurFigure) -> str:
    return "" if own.deviation is None else f", ± {_number(own.deviation)} over seeds"
