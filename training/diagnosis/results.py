"""The files of a diagnosis: one CSV for each case and stage, so that an interrupted run goes on where it was.

Files are written atomically. A case whose file exists is not measured again.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from training.checkpoint import replace_file

Value = str | int | float
Row = Mapping[str, Value]


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with the same columns. Numbers get six digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _format(value) for name, value in row.items()} for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows of one file, as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_all(directory: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of all CSV files of a directory, in the order of their names."""
    for path in sorted(directory.glob("*.csv")):
        yield from read_csv(path)


def _format(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
