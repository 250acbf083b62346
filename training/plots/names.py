"""User-chosen names in pictures, such as those of columns and labels, of any length and in any script."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 40


def drawn(name: str) -> str:
    """Shorten a name, and escape dollars, between which matplotlib would read a formula."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return short.replace("$", r"\$")


@contextmanager
def in_any_script() -> Iterator[None]:
    """Silence matplotlib's warnings of characters that its font lacks, which it draws as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield
