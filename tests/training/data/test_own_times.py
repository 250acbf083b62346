"""Times as users write them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dateutil import parser as dates  # type: ignore[import-untyped]

from tests.training.data.tables import COLUMNS, table
from training.data import own_times
from training.data.own_rows import Notation
from training.data.own_table import read
from training.data.own_times import Order
from training.data.source import DataError


def test_an_hour_that_clocks_say_twice_is_told_from_rows_in_disorder(tmp_path: Path) -> None:
    again = [f"2020-10-25 {time},1,t,1" for time in ("02:15", "02:30", "02:45", "02:00", "02:15")]
    with pytest.raises(DataError, match=r"line 5: .* where clocks were put back, name their zone: --zone"):
        read(table(tmp_path, again), COLUMNS)


@pytest.mark.parametrize("is_newest_first", [False, True])
@pytest.mark.parametrize(
    "hours",
    [
        ["2020-10-25 01:00", "2020-10-25 02:00", "2020-10-25 02:00", "2020-10-25 03:00"],
        ["2020-10-25 02:00", "2020-10-25 02:30", "2020-10-25 02:00", "2020-10-25 02:30", "2020-10-25 03:00"],
        ["2020-03-29 00:00", "2020-03-29 01:00", "2020-03-29 03:00", "2020-03-29 04:00"],
    ],
)
def test_clocks_that_are_changed_leave_rows_even_where_their_zone_is_named(
    tmp_path: Path, hours: list[str], is_newest_first: bool
) -> None:
    rows = [f"{hour},{n},t,1" for n, hour in enumerate(hours)]
    path = table(tmp_path, rows[::-1] if is_newest_first else rows)
    with pytest.raises(DataError, match=r"--zone|--duplicates|sort the file"):
        read(path, COLUMNS)
    found = read(path, COLUMNS, notation=Notation(zone="Europe/Berlin"))
    assert found.table.readings[:, 0].tolist() == list(range(len(hours)))


def test_days_by_the_clocks_of_a_zone_are_days(tmp_path: Path) -> None:
    rows = [f"2020-03-{day},{day},t,1" for day in range(26, 32)]
    found = read(table(tmp_path, rows), COLUMNS, notation=Notation(zone="Europe/Berlin"))
    assert (str(found.interval), f"{found.times[0]}") == ("1 day", "2020-03-26 00:00:00")


def test_times_with_a_zone_are_one_line_of_time(tmp_path: Path) -> None:
    rows = ["2020-03-29T00:00+01:00,1,t,1", "2020-03-29T01:00+01:00,2,t,1", "2020-03-29T03:00+02:00,3,t,1"]
    assert str(read(table(tmp_path, rows), COLUMNS).interval) == "1 hour"


def test_days_with_a_zone_are_those_of_their_own_clocks(tmp_path: Path) -> None:
    rows = [f"2020-03-{day}T00:00+0{1 + (day > 29)}:00,{day},t,1" for day in range(26, 32)]
    found = read(table(tmp_path, rows), COLUMNS)
    assert (str(found.interval), f"{found.times[0]}") == ("1 day", "2020-03-26 00:00:00")


@pytest.mark.parametrize(
    "write", [lambda time: time.astimezone(UTC).isoformat(), lambda time: f"{time.timestamp():.0f}"]
)
def test_days_of_a_zone_are_days_however_their_times_are_written(
    tmp_path: Path, write: Callable[[datetime], str]
) -> None:
    midnights = [datetime(2020, 3, day, tzinfo=ZoneInfo("Europe/Berlin")) for day in range(26, 32)]
    path = table(tmp_path, [f"{write(midnight)},{midnight.day},t,1" for midnight in midnights])
    found = read(path, COLUMNS, notation=Notation(zone="Europe/Berlin"))
    assert (str(found.interval), f"{found.times[0]}") == ("1 day", "2020-03-26 00:00:00")


def test_months_without_days_are_read(tmp_path: Path) -> None:
    path = table(tmp_path, [f"19{49 + m // 12}-{1 + m % 12:02},{m},t,1" for m in range(30)])
    assert str(read(path, COLUMNS).interval) == "1 month"


@pytest.mark.parametrize(
    "times",
    [
        ["11/01/2023", "12/01/2023", "13/01/2023"],
        ["11.1.2023 00:00", "12.1.2023 00:00", "13.1.2023 00:00"],
        ["1/11/2023", "1/12/2023", "1/13/2023"],
        ["01-11-23", "01-12-23", "01-13-23"],
    ],
)
def test_day_and_month_have_one_order_in_a_file(tmp_path: Path, times: list[str]) -> None:
    found = read(table(tmp_path, [f"{time},{n},x,0" for n, time in enumerate(times)]), COLUMNS)
    assert (f"{found.times[0]:%F}", f"{found.times[-1]:%F}") == ("2023-01-11", "2023-01-13")


@pytest.mark.parametrize(
    ("times", "line", "reason"),
    [
        (["01/02/2010", "01/03/2010"], 2, "'01/02/2010' could be day/month or month/day: choose with --dates"),
        (["01/13/2010", "14/01/2010"], 3, "a different order from line 2"),
    ],
)
def test_an_order_of_day_and_month_that_is_not_told_is_refused(
    tmp_path: Path, times: list[str], line: int, reason: str
) -> None:
    with pytest.raises(DataError, match=f"line {line}: .*{reason}"):
        read(table(tmp_path, [f"{time},1,x,0" for time in times]), COLUMNS)


@pytest.mark.parametrize(
    ("times", "order", "expected"),
    [
        (["01.02.2010", "01.03.2010", "01.04.2010"], None, "1 month"),
        (["01/02/2010", "01/03/2010", "01/04/2010"], "day-first", "1 month"),
        (["01/02/2010", "01/03/2010", "01/04/2010"], "month-first", "1 day"),
    ],
)
def test_dots_or_the_user_tell_the_day_from_the_month(
    tmp_path: Path, times: list[str], order: Order | None, expected: str
) -> None:
    path = table(tmp_path, [f"{time},{n},x,0" for n, time in enumerate(times)])
    assert str(read(path, COLUMNS, notation=Notation(order=order)).interval) == expected


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_times_since_1970_are_those_of_utc(tmp_path: Path, unit: int) -> None:
    path = table(tmp_path, [f"{(1_700_000_000 + 60 * n) * unit},{n},x,0" for n in range(5)])
    found = read(path, COLUMNS)
    assert (str(found.interval), f"{found.times[0]}") == ("1 minute", "2023-11-14 22:13:20")


def test_days_that_come_again_may_have_their_hour_in_another_column(tmp_path: Path) -> None:
    path = table(tmp_path, ["2020-01-01,1,00:00,1", "2020-01-01,2,01:00,1"])
    with pytest.raises(DataError, match=r"line 3: .* if the hour is in another column, join the two into one"):
        read(path, COLUMNS)


def test_times_in_utc_are_told_as_such(tmp_path: Path) -> None:
    rows = [f"2020-03-01 {hour:02}:00,{hour},t,1" for hour in range(12)]
    berlin = Notation(zone="Europe/Berlin")
    assert read(table(tmp_path, rows), COLUMNS, notation=berlin).clock == " UTC"
    assert read(table(tmp_path, rows), COLUMNS).clock == ""
    with pytest.raises(DataError, match="between 2020-03-01 02:00:00 UTC of line 5 and 2020-03-01 04:00:00 UTC"):
        read(table(tmp_path, [*rows[:4], *rows[5:]]), COLUMNS, notation=berlin)


@pytest.mark.parametrize("write", ["{}-Q{}", "{}Q{}", "{} q{}"])
def test_quarters_begin_on_their_first_day(tmp_path: Path, write: str) -> None:
    rows = [f"{write.format(1980 + n // 4, 1 + n % 4)},{n},t,1" for n in range(12)]
    found = read(table(tmp_path, rows), COLUMNS)
    assert (str(found.interval), f"{found.times[1]:%F}") == ("3 months", "1980-04-01")


@pytest.mark.parametrize("write", ["2020-01-{:02} {:02}:00", "{}.1.2020 {}:00", "2020-01-{:02}T{:02}:00:00Z"])
def test_the_24th_hour_is_the_next_days_first(tmp_path: Path, write: str) -> None:
    hours = [(30 + n // 24, 1 + n % 24) for n in range(48)]
    found = read(table(tmp_path, [f"{write.format(*hour)},{hour[1]},t,1" for hour in hours]), COLUMNS)
    assert (str(found.interval), f"{found.times[-1]}") == ("1 hour", "2020-02-01 00:00:00")


@pytest.mark.parametrize("date", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", "%B %d, %Y", "%d/%m/%y"])
@pytest.mark.parametrize("clock", ["", " %H:%M", " %H:%M:%S", " %I:%M %p", "T%H:%M", " %H:%M:%S.%f"])
def test_times_are_what_dateutil_makes_of_them(date: str, clock: str) -> None:
    start = datetime(1969, 11, 20, 13, 5, 7, 120_000)  # noqa: DTZ001  # times without a zone
    texts = [f"{start + timedelta(days=n, hours=7 * n):{date + clock}}" for n in range(0, 400, 3)]
    is_day_first = date.startswith(("%d/", "%d."))
    expected = [dates.parse(text, default=datetime(1, 1, 1), dayfirst=is_day_first) for text in texts]  # noqa: DTZ001
    assert own_times.parse(list(enumerate(texts, start=2)), Path("own.csv")).times == expected


def test_a_time_in_another_form_than_the_first_ones_is_read_by_dateutil() -> None:
    texts = [*[f"{day}/01/2020" for day in range(1, 30)], "Jan 30 2020", "31/1/20"]
    found = own_times.parse(list(enumerate(texts, start=2)), Path("own.csv")).times
    assert [time.day for time in found] == list(range(1, 32))


@pytest.mark.parametrize("date", ["%Y/%m/%d", "%Y-%m-%d"])
def test_years_come_first_in_a_file_of_days_first_as_dateutil_takes_them(date: str) -> None:
    texts = ["31/12/2019", *[f"{datetime(2020, 1, day):{date} 1:00}" for day in range(20, 31)], "2020/02/03 1:00"]  # noqa: DTZ001
    expected = [dates.parse(text, default=datetime(1, 1, 1), dayfirst=True) for text in texts]  # noqa: DTZ001
    assert own_times.parse(list(enumerate(texts, start=2)), Path("own.csv")).times == expected
