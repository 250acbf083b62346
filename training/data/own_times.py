"""Parses the times in a user's own file. They may have any usual format, the same for the whole file."""

import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from dateutil import parser as dates  # type: ignore[import-untyped]
from tqdm import tqdm  # type: ignore[import-untyped]

from training.data import time_format
from training.data.source import BrokenLineError

MONTHS = 12
ORDERS = ("day-first", "month-first")  # of a numeric date
PLACEHOLDER_YEAR = 4  # a year that no file has readings of, and a leap year, so that it has every day
SHORTEST_DAY = timedelta(hours=23)  # the day on which clocks are put forward
_DATE_IN_NUMBERS = re.compile(r"\s*(\d{1,2})([/.-])(\d{1,2})\2\d{2,4}(?:\b|(?=[Tt]))")
_EPOCH = re.compile(r"\d{10}(?:\.\d+)?|\d{13}|\d{16}|\d{19}")  # seconds, milliseconds, microseconds, nanoseconds
_EPOCH_DIGITS = 10  # digits of a time in seconds, from 2001 to 2286
_BARE_NUMBER = re.compile(r"\s*\d+\s*")
_BARE_TIMES = (4, 8, 12, 14)  # digits of YYYY, YYYYMMDD, YYYYMMDDhhmm and YYYYMMDDhhmmss
_QUARTER = re.compile(r"([1-9]\d{3})[ -]?[Qq]([1-4])")
_MIDNIGHT = re.compile(r"(?P<day>.*\d{4}.*[ T])24:00(?::00(?:\.0+)?)?(?P<zone>Z|\s?[+-]\d\d:?\d\d)?")
_HOW = "write times as 2024-12-31 or 2024-12-31 23:00, and take out a line that has none"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Order = Literal["day-first", "month-first"]
Cell = tuple[int, str]  # a row's line number and its time as text


class Times(NamedTuple):
    """Times without a zone, and whether they are in UTC."""

    times: list[datetime]
    is_utc: bool


def parse(cells: Sequence[Cell], path: Path, order: Order | None = None, zone: ZoneInfo | None = None) -> Times:
    """Parse the times of all rows.

    Args:
        cells: Line and time of each row.
        path: File to name in errors.
        order: Order of day and month in numeric dates. None to infer it.
        zone: Zone of times that do not name one, and of the local times returned.

    Returns:
        Times without a zone. Times with a zone become UTC or, if they are a day or more apart, local times (of `zone`,
        if given), so that summer time does not move midnight. Counts since 1970 have the zone UTC.

    Raises:
        BrokenLineError: A cell is not a time, its zone is unknown, only some have a zone, or the order of day and month
            is ambiguous.
    """
    if (since_epoch := _since_epoch(cells)) is not None:
        return _without_zone(_in_zone(zone, since_epoch), cells, path)
    is_day_first = order == "day-first" if order else _is_day_first(cells, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", dates.UnknownTimezoneWarning)
        bar = tqdm(cells, desc=f"times of {path.name}", unit=" rows", leave=False, disable=None, delay=1)
        pattern = _pattern(cells, is_day_first)
        times = [_parse(text, is_day_first, pattern, path, line) for line, text in bar]
    return _without_zone(_in_zone(zone, times), cells, path)


def _in_zone(zone: ZoneInfo | None, times: Sequence[datetime]) -> Sequence[datetime]:
    """Convert times to a zone. If none names a zone, they are local times of it. No change if `zone` is None."""
    if zone is None:
        return times
    if not any(time.tzinfo for time in times):
        return _by_clocks_of(zone, times)
    return [time.astimezone(zone) if time.tzinfo else time for time in times]


def _by_clocks_of(zone: ZoneInfo, times: Sequence[datetime]) -> list[datetime]:
    """Interpret local times of a zone in order. An hour that occurs twice is the first one, then the second."""
    is_newest_first = bool(times) and times[-1] < times[0]
    found: list[datetime] = []
    for time in reversed(times) if is_newest_first else times:
        first, second = (time.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        is_second = bool(found) and first.astimezone(UTC) <= found[-1].astimezone(UTC) < second.astimezone(UTC)
        found.append(second if is_second else first)
    return found[::-1] if is_newest_first else found


def _is_day_first(cells: Sequence[Cell], path: Path) -> bool:
    """Whether numeric dates have the day first, like 31/12/2024. If no date shows it, those with dots do."""
    matches = [(line, text, _DATE_IN_NUMBERS.match(text)) for line, text in cells]
    dated = [(line, text, int(match[1]), int(match[3])) for line, text, match in matches if match]
    day_first = next((line for line, _, first, _ in dated if first > MONTHS), None)
    month_first = next((line for line, _, _, second in dated if second > MONTHS), None)
    if day_first is not None and month_first is not None:
        lines = sorted((day_first, month_first))
        raise BrokenLineError(path, lines[1], f"day and month are in a different order from line {lines[0]}")
    if dated and day_first is None and month_first is None:
        line, text, *_ = dated[0]
        if all(match[2] == "." for _, _, match in matches if match):
            return True
        raise BrokenLineError(
            path, line, f"{text!r} could be day/month or month/day: choose with --dates day-first or month-first"
        )
    return day_first is not None


def _since_epoch(cells: Sequence[Cell]) -> list[datetime] | None:
    """Parse times that are counts since 1970. None unless all are, in the same unit."""
    digits = {len(text.partition(".")[0]) for _, text in cells}
    if len(digits) != 1 or not all(_EPOCH.fullmatch(text) for _, text in cells):
        return None
    unit = 10 ** (digits.pop() - _EPOCH_DIGITS)
    return [EPOCH + timedelta(seconds=float(text) / unit) for _, text in cells]


def _pattern(cells: Sequence[Cell], is_day_first: bool) -> str | None:
    """Find a strptime format for the times that only dateutil could read otherwise. None if there is none."""
    others = (text for _, text in cells if _parse_plainly(text) is None)
    try:
        return time_format.find(others, partial(_parse_freely, is_day_first=is_day_first), is_day_first=is_day_first)
    except (dates.UnknownTimezoneWarning, ValueError, OverflowError):  # `_parse` raises it again, with the line
        return None


def _parse_plainly(text: str) -> datetime | None:
    """Parse an ISO time, or a quarter as its first day. None if it is neither."""
    if quarter := _QUARTER.fullmatch(text):
        return datetime(int(quarter[1]), 3 * int(quarter[2]) - 2, 1)  # noqa: DTZ001  # times without a zone stay without
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _parse(text: str, is_day_first: bool, pattern: str | None, path: Path, line: int) -> datetime:
    if (plain := _parse_plainly(text)) is not None:
        return plain
    if pattern is not None and (time := time_format.parse(text, pattern)) is not None:
        return time
    if midnight := _MIDNIGHT.fullmatch(text):
        begun = f"{midnight['day']}00:00{midnight['zone'] or ''}"
        return _parse(begun, is_day_first, pattern, path, line) + timedelta(days=1)
    try:
        time = _parse_freely(text, is_day_first)
    except dates.UnknownTimezoneWarning as error:
        raise BrokenLineError(
            path, line, f"the time zone of {text!r} is unknown: write 2024-12-31 23:00+01:00"
        ) from error
    except (ValueError, OverflowError) as error:
        raise BrokenLineError(path, line, f"{text!r} is not a time: {_HOW}") from error
    if time is None:
        raise BrokenLineError(path, line, f"{text!r} has no year: {_HOW}")
    return time


def _parse_freely(text: str, is_day_first: bool) -> datetime | None:
    """Parse a time in words or numbers. None if its year would have to be guessed."""
    if _BARE_NUMBER.fullmatch(text) and len(text.strip()) not in _BARE_TIMES:
        raise ValueError("row numbers, seconds since an epoch and the like are not dates")
    time = _with_default_year(text, PLACEHOLDER_YEAR, is_day_first)
    # Whatever a text leaves out comes from the default. If it has a year, the default does not matter.
    has_year = (
        time.year != PLACEHOLDER_YEAR
        or _with_default_year(text, PLACEHOLDER_YEAR + 4, is_day_first).year == PLACEHOLDER_YEAR
    )
    return time if has_year else None


def _with_default_year(text: str, year: int, is_day_first: bool) -> datetime:
    default = datetime(year, 1, 1)  # noqa: DTZ001  # times without a zone stay without
    time: datetime = dates.parse(text, default=default, dayfirst=is_day_first)
    return time


def _without_zone(times: Sequence[datetime], cells: Sequence[Cell], path: Path) -> Times:
    for time, (line, text) in zip(times, cells, strict=True):
        if (time.tzinfo is None) != (times[0].tzinfo is None):
            has, had = ("no zone", "one") if time.tzinfo is None else ("a zone", "none")
            raise BrokenLineError(path, line, f"{text!r} has {has}, and the first time has {had}")
    if not times or times[0].tzinfo is None:
        return Times(list(times), is_utc=False)
    steps = [abs(after - before) for before, after in pairwise(times)]
    if min((step for step in steps if step), default=SHORTEST_DAY) >= SHORTEST_DAY:
        return Times([time.replace(tzinfo=None) for time in times], is_utc=False)
    return Times([time.astimezone(UTC).replace(tzinfo=None) for time in times], is_utc=True)
