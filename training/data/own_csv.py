"""CSV files of a user's own: any delimiter, a header, and the line of every row."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from training.data.source import BrokenLineError, DataError, MissingFileError, decode, read_bytes

DELIMITERS = ",;\t"
ZIP = b"PK\x03\x04"  # how a zip begins, and a workbook, which is one
LONGEST_CELL = 2**18  # characters: what a text of so many takes to learn from is some gigabytes


class OwnCsv:
    """An opened file.

    Args:
        path: UTF-8 text with a header, unpacked if its name ends in .gz. Cells are separated by commas, semicolons or
            tabs, whichever the header has most of.

    Attributes:
        header: Names of the columns.

    Raises:
        MissingFileError: There is no such file.
        DataError: It does not unpack, or is a workbook.
        BrokenLineError: It is not text in UTF-8, or its header is not CSV.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = _read(path)
        head = text.split("\n", 1)[0]
        csv.field_size_limit(LONGEST_CELL)
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=head.count), strict=True)
        self.header = [name.strip() for name in self._next() or []]

    def column(self, name: str) -> int:
        """The index of a column.

        Raises:
            BrokenLineError: There is none of that name, or more than one.
        """
        if name not in self.header:
            raise BrokenLineError(
                self.path, 1, f"no column {name!r}; there are {', '.join(map(repr, self.header)) or 'none'}"
            )
        if self.header.count(name) > 1:
            raise BrokenLineError(self.path, 1, f"{self.header.count(name)} columns are called {name!r}")
        return self.header.index(name)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line of each row, from 1, and its cells. Empty lines are left out.

        Raises:
            BrokenLineError: A row has more or fewer cells than the header, or a quote is not closed.
        """
        with tqdm(desc=f"reading {self.path.name}", unit=" rows", leave=False, disable=None, delay=1) as bar:
            while True:
                line = self._reader.line_num + 1
                cells = self._next()
                if cells is None:
                    return
                bar.update()
                if not any(cells):
                    continue
                if len(cells) != len(self.header):
                    raise BrokenLineError(self.path, line, f"{len(cells)} cells, the header has {len(self.header)}")
                yield line, [cell.strip() for cell in cells]

    def _next(self) -> list[str] | None:
        """Read the cells of the next row. None at the end of the file."""
        line = self._reader.line_num + 1
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise BrokenLineError(
                self.path, line, f"not CSV ({error}): is a quote not closed, or not doubled?"
            ) from error


def _read(path: Path) -> str:
    try:
        content = read_bytes(path)
    except OSError as error:
        raise MissingFileError(path, str(error.strerror)) from error
    if content.startswith(ZIP):
        raise DataError(f"{path} is a workbook, or another kind of zip: save the sheet as CSV")
    text = decode(content, path).removeprefix("\ufeff")
    if "\0" in text:
        raise BrokenLineError(path, text.count("\n", 0, text.index("\0")) + 1, "a zero byte: is it a text file?")
    return text
