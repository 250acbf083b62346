"""The interval between the rows of a table, and the season and segment that it suggests."""

import calendar
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

MINUTE, HOUR, DAY, WEEK = 60.0, 3600.0, 86400.0, 7 * 86400.0
USUAL = (*(n * MINUTE for n in (1, 5, 10, 15, 20, 30)), *(n * HOUR for n in (1, 2, 3, 4, 6, 8, 12)), DAY, WEEK)
JITTER_TOLERANCE = 0.02  # relative tolerance within which an interval counts as a usual one
LONGEST_SEASON = 288  # a day in steps of 5 minutes; a longer season would make a state of many kilobytes
LONGEST_SEGMENT = 36
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Interval:
    """The time between two rows, in seconds or in months (which differ in length).

    Exactly one of the two is not 0.
    """

    seconds: float = 0.0
    months: int = 0

    def __str__(self) -> str:
        """Format the interval, for instance "15 minutes" or "1 month"."""
        if self.months:
            count, unit = (self.months // 12, "year") if self.months % 12 == 0 else (self.months, "month")
            return plural(count, unit)
        for size, unit in ((WEEK, "week"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
            if self.seconds % size == 0:
                return plural(round(self.seconds / size), unit)
        return plural(self.seconds, "second")

    @property
    def each(self) -> str:
        """For instance "every month" or "every 15 minutes"."""
        return f"every {str(self).removeprefix('1 ')}"

    def steps(self, start: datetime, end: datetime) -> float:
        """Return the number of intervals between two times. It is whole if `end` lies on the grid of `start`."""
        if not self.months:
            return (end - start).total_seconds() / self.seconds
        months = MONTHS_A_YEAR * (end.year - start.year) + end.month - start.month
        if _within_month(start) != _within_month(end) and not (_is_last_day(start) and _is_last_day(end)):
            return months / self.months + (end.day - start.day) / 31 / self.months
        return months / self.months


def infer(times: Sequence[datetime]) -> Interval:
    """Infer the interval of increasing times. A few times may be missing.

    Raises:
        ValueError: Fewer than two times.
    """
    if len(times) < 2:
        raise ValueError("an interval needs two times")
    seconds = _usual_seconds([(end - start).total_seconds() for start, end in pairwise(times)])
    is_monthly = len({_within_month(time) for time in times}) == 1 or all(map(_is_last_day, times))
    if seconds >= 28 * DAY and is_monthly:
        months, _ = Counter(_months(start, end) for start, end in pairwise(times)).most_common(1)[0]
        return Interval(months=max(months, 1))
    return Interval(seconds=seconds)


def _usual_seconds(gaps: Sequence[float]) -> float:
    """Return the gap of most rows. If jitter leaves no majority, use gaps rounded to usual intervals, or the median."""
    seconds, count = Counter(gaps).most_common(1)[0]
    if 2 * count > len(gaps):
        return seconds
    seconds, count = Counter(map(_snap_to_usual, gaps)).most_common(1)[0]
    if 2 * count > len(gaps) or seconds >= DAY:
        return seconds
    return _snap_to_usual(round(median(gaps)) or seconds)


def _snap_to_usual(seconds: float) -> float:
    """Round to a usual interval, such as an hour, if one is within JITTER_TOLERANCE."""
    return next((step for step in USUAL if abs(seconds - step) <= JITTER_TOLERANCE * step), seconds)


def suggest_season(interval: Interval) -> int:
    """Suggest the number of readings in a season: those of a minute, an hour, a day, a week or a year. 1 if none."""
    if interval.months:
        return MONTHS_A_YEAR // interval.months if MONTHS_A_YEAR % interval.months == 0 else 1
    seconds = _snap_to_usual(interval.seconds)
    if seconds == WEEK:
        return 52
    if seconds >= DAY:
        return 7 if seconds == DAY else 1
    counts = [_whole(cycle / seconds) for cycle in (DAY, HOUR, MINUTE)]
    found = next((count for count in counts if count and 1 < count <= LONGEST_SEASON), 1)
    return 7 * found if seconds > HOUR * 2 and found > 1 else found


def suggest_season_of_rows(interval: Interval, times: Sequence[datetime]) -> int:
    """Suggest a season when rows are always missing, such as weekends: the usual number of rows in a day or week."""
    season, seconds = suggest_season(interval), _snap_to_usual(interval.seconds)
    is_daily = seconds == DAY
    if not is_daily and season * seconds != DAY:
        return season
    rows = Counter(time.isocalendar()[:2] if is_daily else time.date() for time in times)
    return Counter(rows.values()).most_common(1)[0][0]


def suggest_segment(season: int) -> int:
    """Suggest the number of readings in a segment: a season, several short ones, or the largest fitting part of one."""
    if season <= LONGEST_SEGMENT:
        return season if season > 3 else season * (4 // season)
    parts = [size for size in range(4, 25) if season % size == 0]
    return max(parts, default=season)


def plural(count: float, unit: str) -> str:
    """Format a count with its unit, for instance "1 hour" or "2 hours"."""
    return f"{count:g} {unit}" + ("" if count == 1 else "s")


def _whole(count: float) -> int:
    return round(count) if abs(count - round(count)) < 1e-9 else 0


def _months(start: datetime, end: datetime) -> int:
    return MONTHS_A_YEAR * (end.year - start.year) + end.month - start.month


def _within_month(time: datetime) -> timedelta:
    return time - time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _is_last_day(time: datetime) -> bool:
    return time.day == calendar.monthrange(time.year, time.month)[1]
