"""Names that people chose, such as those of columns and labels, in pictures: of any length, with any signs."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 40


def drawn(name: str) -> str:
    """A name as matplotlib should write it: not too long, and no formula between dollars."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return short.replace("$", r"\$")


@contextmanager
def in_any_script() -> Iterator[None]:
    """Let signs that the font lacks be boxes, and say nothing of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield
