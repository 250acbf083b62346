"""What the times of a table say of its step, and what that suggests."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from training.data.interval import Interval, infer, suggest_season, suggest_season_of_rows, suggest_segment

START = datetime(2020, 1, 31)  # noqa: DTZ001  # tables have times without a zone


def every(step: timedelta, count: int = 6) -> list[datetime]:
    return [START + i * step for i in range(count)]


@pytest.mark.parametrize(
    ("step", "said", "season", "segment"),
    [
        (timedelta(minutes=1), "1 minute", 60, 20),
        (timedelta(minutes=5), "5 minutes", 288, 24),
        (timedelta(minutes=10), "10 minutes", 144, 24),
        (timedelta(minutes=15), "15 minutes", 96, 24),
        (timedelta(hours=1), "1 hour", 24, 24),
        (timedelta(hours=6), "6 hours", 28, 28),
        (timedelta(days=1), "1 day", 7, 7),
        (timedelta(days=7), "1 week", 52, 13),
        (timedelta(days=2), "2 days", 1, 4),
        (timedelta(seconds=90), "90 seconds", 40, 20),
        (timedelta(seconds=0.5), "0.5 seconds", 120, 24),
    ],
)
def test_a_step_of_seconds_suggests_the_season_that_people_live_by(
    step: timedelta, said: str, season: int, segment: int
) -> None:
    interval = infer(every(step))
    assert (str(interval), suggest_season(interval)) == (said, season)
    assert suggest_segment(season) == segment


@pytest.mark.parametrize(("months", "said", "season"), [(1, "1 month", 12), (3, "3 months", 4), (12, "1 year", 1)])
def test_months_are_steps_though_they_differ_in_length(months: int, said: str, season: int) -> None:
    times = [datetime(2019 + m // 12, 1 + m % 12, 1) for m in range(0, 5 * months, months)]  # noqa: DTZ001
    interval = infer(times)
    assert (str(interval), suggest_season(interval)) == (said, season)


def test_the_last_days_of_months_are_monthly() -> None:
    ends = [datetime(2020, month, day) for month, day in ((1, 31), (2, 29), (3, 31), (4, 30))]  # noqa: DTZ001
    assert infer(ends) == Interval(months=1)
    assert Interval(months=1).steps(ends[0], ends[3]) == 3


def test_missing_rows_do_not_change_the_step() -> None:
    times = every(timedelta(hours=1), 9)
    del times[3:5]
    assert infer(times) == Interval(seconds=3600)
    assert Interval(seconds=3600).steps(times[2], times[3]) == 3


def test_rows_of_working_days_return_after_five_and_those_of_opening_hours_after_as_many_as_there_are() -> None:
    days = [time for time in every(timedelta(days=1), 100) if time.weekday() < 5]
    hours = [time for time in every(timedelta(hours=1), 400) if 9 <= time.hour < 17]
    assert suggest_season_of_rows(infer(days), days) == 5
    assert suggest_season_of_rows(infer(hours), hours) == 8


@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(days=7), timedelta(hours=6)])
def test_other_seasons_of_rows_are_those_of_time(step: timedelta) -> None:
    times = every(step, 300)
    assert suggest_season_of_rows(infer(times), times) == suggest_season(infer(times))


def test_every_segment_fits_its_season() -> None:
    for season in range(1, 300):
        segment = suggest_segment(season)
        assert season % segment == 0 or segment % season == 0


def test_a_clock_that_wavers_has_the_step_that_it_means() -> None:
    times = [START + timedelta(seconds=60 * n + 0.001 * (n * n % 300)) for n in range(50)]
    assert str(infer(times)) == "1 minute"


def test_a_step_that_most_rows_have_is_taken_as_it_is() -> None:
    assert str(infer([*every(timedelta(seconds=0.5)), START + timedelta(seconds=9)])) == "0.5 seconds"


@pytest.mark.parametrize(
    ("step", "jitter", "season"),
    [(3600.004, 0, 24), (3600, 200, 24), (3600, 0.05, 24), (300, 4, 288), (86400, 600, 7), (60.5, 0, 60)],
)
def test_clocks_that_waver_or_drift_have_the_season_of_the_step_that_they_mean(
    step: float, jitter: float, season: int
) -> None:
    rng = np.random.default_rng(0)
    times = [START + timedelta(seconds=step * n + float(rng.uniform(-jitter, jitter))) for n in range(200)]
    assert suggest_season(infer(times)) == season


def test_a_steady_step_is_counted_as_it_is() -> None:
    assert infer(every(timedelta(seconds=61))) == Interval(seconds=61)


def test_every_one_of_a_unit_is_every_unit() -> None:
    assert (Interval(months=1).each, Interval(seconds=900).each) == ("every month", "every 15 minutes")
