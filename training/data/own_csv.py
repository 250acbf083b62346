"""CSV files of a user's own: any delimiter, a header, and the line of every row."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from training.data.source import BrokenLineError, MissingFileError, read_text

DELIMITERS = ",;\t"


class OwnCsv:
    """An opened file.

    Args:
        path: UTF-8 text with a header; unpacked if its name ends in .gz. Cells are parted by commas, semicolons or
            tabs, whichever the header has most of.

    Attributes:
        header: Names of the columns.

    Raises:
        MissingFileError: There is no such file.
        BrokenLineError: It is not UTF-8, or its header no CSV.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise MissingFileError(path)
        self.path = path
        text = read_text(path).removeprefix("\ufeff")
        head = text.split("\n", 1)[0]
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=head.count), strict=True)
        try:
            self.header = [name.strip() for name in next(self._reader, [])]
        except csv.Error as error:
            raise self._no_csv(error) from error

    def column(self, name: str) -> int:
        """Where a column stands.

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
        """The line on which each row ends, from 1, and its cells; empty lines are left out.

        Raises:
            BrokenLineError: A row has more or fewer cells than the header, or a quote is not closed.
        """
        lines = tqdm(self._reader, desc=f"reading {self.path.name}", unit=" rows", leave=False, disable=None, delay=1)
        try:
            for cells in lines:
                if not any(cells):
                    continue
                if len(cells) != len(self.header):
                    raise BrokenLineError(
                        self.path, self._reader.line_num, f"{len(cells)} cells, the header has {len(self.header)}"
                    )
                yield self._reader.line_num, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise self._no_csv(error) from error

    def _no_csv(self, error: csv.Error) -> BrokenLineError:
        return BrokenLineError(self.path, max(self._reader.line_num, 1), f"not CSV ({error})")
