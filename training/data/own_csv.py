"""Reads a user's own CSV file with any delimiter, and keeps the line number of every row."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from training.data.interval import plural
from training.data.own_characters import UTF_8, decode
from training.data.source import BrokenLineError, DataError, MissingFileError, read_bytes

DELIMITERS = "\t;,|"  # likelier ones first
DECLARED_DELIMITER = re.compile(r"sep=([\t;,|])\r?\n", re.IGNORECASE)  # Excel reads and writes it before the header
SNIFFED, SNIFFED_ROWS = 2**20, 20  # characters and rows by which the delimiter is found
ZIP = b"PK\x03\x04"  # the first bytes of a zip file, and so of an Excel workbook
LONGEST_CELL = 2**18  # characters: training on a text of this length takes some gigabytes of memory


class OwnCsv:
    """An opened file.

    Args:
        path: Text with a header, unpacked if its name ends in .gz. Cells are separated by commas, semicolons, tabs or
            bars. Which of them is read from a line such as sep=; before the header, or inferred from the first rows.
        encoding: Encoding of the text, unless it has a byte order mark.

    Attributes:
        delimiter: Separator of cells.
        header: Names of the columns.
        header_line: Line of the header, from 1.

    Raises:
        MissingFileError: There is no such file.
        DataError: The file cannot be unpacked, is empty, or is a workbook.
        BrokenLineError: It is not text in that encoding, or its header is not CSV.
    """

    def __init__(self, path: Path, encoding: str = UTF_8) -> None:
        self.path = path
        text = _read(path, encoding)
        if not text.strip():
            raise DataError(f"{path}: the file is empty")
        declared = DECLARED_DELIMITER.match(text)
        self.header_line = 2 if declared else 1
        self.delimiter = declared[1] if declared else _delimiter(text)
        csv.field_size_limit(LONGEST_CELL)
        lines = io.StringIO(text[declared.end() :] if declared else text, newline="")
        self._reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        self.header = [name.strip() for name in self._next() or []]

    def column(self, name: str) -> int:
        """Return the index of a column.

        Raises:
            BrokenLineError: There is no column of that name, or more than one.
        """
        if name not in self.header:
            there = f"there are {', '.join(map(repr, self.header))}" if self.header else "the line is empty"
            raise BrokenLineError(
                self.path,
                self.header_line,
                f"no column {name!r}; {there}: name one of those, or remove the lines above the header",
            )
        if self.header.count(name) > 1:
            raise BrokenLineError(
                self.path, self.header_line, f"{self.header.count(name)} columns are called {name!r}: rename them"
            )
        return self.header.index(name)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of the first line, from 1, and the cells of each row. Empty lines are skipped.

        Raises:
            DataError: There are no rows.
            BrokenLineError: A row has more or fewer cells than the header, or a quote is not closed.
        """
        with tqdm(desc=f"reading {self.path.name}", unit=" rows", leave=False, disable=None, delay=1) as bar:
            is_first = True
            while True:
                line = self._next_line
                cells = self._next()
                if cells is None and is_first:
                    raise DataError(f"{self.path}: there is a header but no row")
                if cells is None:
                    return
                bar.update()
                if not any(cells):
                    continue
                is_first = False
                width = len(self.header)
                if len(cells) < width or any(cells[width:]):
                    raise BrokenLineError(
                        self.path,
                        line,
                        f"{plural(len(cells), 'cell')}, the header has {width}: cells are separated by "
                        f"{self.delimiter!r}; quote a cell that contains it",
                    )
                yield line, [cell.strip() for cell in cells[:width]]

    @property
    def _next_line(self) -> int:
        return self._reader.line_num + self.header_line

    def _next(self) -> list[str] | None:
        """Read the cells of the next row. None at the end of the file."""
        line = self._next_line
        try:
            return next(self._reader, None)
        except csv.Error as error:
            reason = f"not CSV ({error}): is a quote not closed, or not doubled?"
            if "field limit" in str(error):
                reason = f"a text longer than {LONGEST_CELL:,} characters: shorten it, or is a quote not closed?"
            raise BrokenLineError(self.path, line, reason) from error


def _read(path: Path, encoding: str) -> str:
    try:
        content = read_bytes(path)
    except OSError as error:
        raise MissingFileError(path, str(error.strerror)) from error
    if content.startswith(ZIP):
        raise DataError(f"{path} is a workbook, or another kind of zip: save the sheet as CSV")
    return decode(content, path, encoding)


def _delimiter(text: str) -> str:
    """Infer the delimiter: one that gives the first rows equally many cells if possible, and most cells."""
    csv.field_size_limit(SNIFFED)  # a text that is too long is refused later, with its line

    def merit(delimiter: str) -> tuple[bool, int]:
        try:
            rows = list(islice(csv.reader(io.StringIO(text[:SNIFFED], newline=""), delimiter=delimiter), SNIFFED_ROWS))
        except csv.Error:
            return False, 0
        is_cut = len(text) > SNIFFED and 1 < len(rows) < SNIFFED_ROWS
        widths = [len(row) for row in (rows[:-1] if is_cut else rows) if row]
        return len(set(widths)) == 1 and widths[0] > 1, widths[0] if widths else 0

    return max(DELIMITERS, key=merit)
