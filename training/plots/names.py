"""User-chosen names in plots, such as those of columns and labels, of any length and in any script."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

LONGEST = 40


def drawn(name: str, longest: int = LONGEST) -> str:
    """Shorten a name, and escape dollar signs, between which matplotlib would read a formula."""
    short = name if len(name) <= longest else f"{name[: longest - 1]}…"
    return short.replace("$", r"\$")


def can_be_drawn(name: str) -> bool:
    """Whether the font has all characters of a name."""
    return all(ord(character) in _characters() for character in drawn(name))


def numbered(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the names to draw, "#3" for the third if the font lacks one of its characters, and these by number."""
    found = [drawn(name) if can_be_drawn(name) else f"#{number}" for number, name in enumerate(names, start=1)]
    return found, {short: name for short, name in zip(found, names, strict=True) if not can_be_drawn(name)}


@cache
def _characters() -> frozenset[int]:
    font = FT2Font(font_manager.findfont(font_manager.FontProperties()))
    return frozenset(chain(font.get_charmap(), map(ord, "\n")))


@contextmanager
def in_any_script() -> Iterator[None]:
    """Silence matplotlib's warnings about characters that its font lacks and draws as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield
