"""Tables as users have them."""

from pathlib import Path

from training.data.own_rows import Columns

HEADER = "when,load,note,heat\n"
ROWS = [f"2020-01-01 {hour:02}:00,{hour}.5,text,{hour * hour}" for hour in range(12)]
COLUMNS = Columns("when", ("load",))


def table(tmp_path: Path, rows: list[str], header: str = HEADER) -> Path:
    """A file of these rows."""
    path = tmp_path / "own.csv"
    path.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def changed(index: int, row: str) -> list[str]:
    """The rows, one of which is another."""
    return [*ROWS[:index], row, *ROWS[index + 1 :]]
