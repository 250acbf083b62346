"""The CoNLL formats: one token per line, columns separated by tabs, sentences by empty lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from training.data.source import BrokenLineError


class Block(NamedTuple):
    """A sentence: the comments before it, the columns of each token, and the line number of its first token."""

    comments: list[str]
    rows: list[list[str]]
    line: int


def blocks(text: str, path: Path, width: int) -> Iterator[Block]:
    """Yield the sentences of a CoNLL table.

    Args:
        text: Content of the file. Lines that begin with "# " before the first token of a sentence are comments.
        path: File to name in errors.
        width: Number of columns.

    Raises:
        BrokenLineError: A line has the wrong number of columns, or its first one is empty.
    """
    block = Block([], [], 1)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            if block.rows:
                yield block
            block = Block([], [], number + 1)
        elif line.startswith("# ") and not block.rows:
            block.comments.append(line[2:].rstrip("\r"))
            block = block._replace(line=number + 1)
        else:
            block.rows.append(_columns(line.rstrip("\r"), path, number, width))
    if block.rows:
        yield block


def _columns(line: str, path: Path, number: int, width: int) -> list[str]:
    columns = line.split("\t")
    if len(columns) != width:
        raise BrokenLineError(path, number, f"expected {width} columns, not {len(columns)}")
    if not columns[0].strip():
        raise BrokenLineError(path, number, "the first column is empty")
    return columns
