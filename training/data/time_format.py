"""Finds a strptime format for a column of times, by comparing with dateutil, which is many times slower.

Only has formats for which strptime agrees with dateutil or fails. Two-digit years are left out, because the two choose
centuries differently.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice

TRIED = 20  # how many times a format is tried on
_DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y-%m-%d")
_IN_WORDS = ("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")


def find(texts: Iterable[str], read: Callable[[str], datetime | None], *, is_day_first: bool) -> str | None:
    """Find a format that parses the first times as `read` does. None if there is none.

    Args:
        texts: Times.
        read: Parses a time slowly. Its exceptions are passed on.
        is_day_first: Whether 01/02/2024 has the day first.
    """
    tried = list(islice(texts, TRIED))
    expected = [read(text) for text in tried]
    candidates = _formats(is_day_first=is_day_first)
    return next((each for each in candidates if tried and [parse(text, each) for text in tried] == expected), None)


def parse(text: str, pattern: str) -> datetime | None:
    """Parse a time by a format. None if it does not fit."""
    try:
        return datetime.strptime(text, pattern)  # noqa: DTZ007  # times without a zone stay without
    except ValueError:
        return None


def _formats(*, is_day_first: bool) -> Iterator[str]:
    for date in (*(_DAY_FIRST if is_day_first else _MONTH_FIRST), *_IN_WORDS):
        for clock in _CLOCKS:
            yield date + clock
