"""A user's table: what is read, and the line of what is not."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from service.forms.form import MAX_READING
from training.data.own_table import Columns, OwnTable, Writing, read
from training.data.own_times import Order
from training.data.source import DataError
from training.data.table import LARGEST_READING

HEADER = "when,load,note,heat\n"
ROWS = [f"2020-01-01 {hour:02}:00,{hour}.5,text,{hour * hour}" for hour in range(12)]
COLUMNS = Columns("when", ("load",))


def table(tmp_path: Path, rows: list[str], header: str = HEADER) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def changed(index: int, row: str) -> list[str]:
    return [*ROWS[:index], row, *ROWS[index + 1 :]]


def test_columns_are_read_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    found = read(table(tmp_path, ROWS), Columns("when", ("heat", "load")))
    assert found.table.channels == ("heat", "load")
    np.testing.assert_array_equal(found.table.readings[:3], [[0, 0.5], [1, 1.5], [4, 2.5]])
    assert (str(found.interval), found.num_filled) == ("1 hour", 0)


def test_without_names_all_columns_of_numbers_are_read(tmp_path: Path) -> None:
    assert read(table(tmp_path, ROWS), Columns("when", ())).table.channels == ("load", "heat")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_cells_may_be_parted_otherwise(tmp_path: Path, delimiter: str) -> None:
    path = table(tmp_path, [row.replace(",", delimiter) for row in ROWS], HEADER.replace(",", delimiter))
    assert len(read(path, COLUMNS).table.readings) == len(ROWS)


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ([*ROWS[:4], *ROWS[6:]], 6, "2 of the rows every 1 hour are missing .* --gaps interpolate"),
        ([*ROWS[:4], ROWS[3], *ROWS[4:]], 6, "also the time of line 5: --duplicates"),
        ([*ROWS[:4], ROWS[1], *ROWS[4:]], 6, "is before .* of line 5"),
        (changed(5, "2020-01-01 05:20,5,t,2"), 7, "1.33 steps of 1 hour after line 6"),
        (changed(5, "2020-01-01 05:00,,t,2"), 7, "no reading of 'load': --gaps interpolate"),
        (changed(5, "2020-01-01 05:00,much,t,2"), 7, "'much' is not a number: leave the cell empty"),
        (changed(5, "2020-01-01 05:00,inf,t,2"), 7, "not a finite number"),
        (changed(5, "yesterday-ish,1,t,2"), 7, "'yesterday-ish' is not a time"),
        (changed(5, "2020-01-01 05:00 PST,1,t,2"), 7, "the zone of '2020-01-01 05:00 PST' is not known"),
        (changed(5, "2020-01-01 05:00+01:00,1,t,2"), 7, "has a zone, and the first time has none"),
        (changed(5, '2020-01-01 05:00,"1,5",t,2'), 7, "'1,5' of 'load' and '0.5' of line 2 do not have the same"),
        (changed(5, "6,5,t,2"), 7, "'6' is not a time: write times as 2024-12-31"),
        (changed(5, "202006,5,t,2"), 7, "'202006' is not a time"),
        (changed(5, "06/20,5,t,2"), 7, "'06/20' does not tell its year: write times as 2024-12-31"),
        (changed(5, "Jan-20,5,t,2"), 7, "'Jan-20' does not tell its year"),
        (changed(5, "2020-01-01 05:00,1,t"), 7, "3 cells, the header has 4"),
        ([f"2020-01-01 {hour:02}:00,7,t,{hour}" for hour in range(9)], 2, "every reading of 'load' is 7, to line 10"),
        ([f"2020-01-01 {hour:02}:00,,t,{hour}" for hour in range(9)], 2, "'load' has no readings"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, rows: list[str], line: int, reason: str) -> None:
    with pytest.raises(DataError, match=rf"own.csv, line {line}: .*{reason}"):
        read(table(tmp_path, rows), COLUMNS)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (Columns("time", ("load",)), "line 1: no column 'time'; there are 'when', 'load', 'note', 'heat'"),
        (Columns("when", ("Load",)), "line 1: no column 'Load'"),
        (Columns("when", ("when",)), "line 1: needs a column of readings"),
        (Columns("when", ("note",)), "line 2: 'text' is not a number"),
    ],
)
def test_columns_that_are_not_there_are_named(tmp_path: Path, columns: Columns, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(table(tmp_path, ROWS), columns)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: 2 columns are called 'load'"):
        read(table(tmp_path, ROWS, "when,load,load,heat\n"), COLUMNS)


def mended(tmp_path: Path, rows: list[str], **how: str) -> OwnTable:
    return read(table(tmp_path, rows), COLUMNS, **how)  # type: ignore[arg-type]


def test_columns_that_hold_no_numbers_are_named(tmp_path: Path) -> None:
    assert read(table(tmp_path, ROWS), Columns("when", ())).left_out == ("note",)
    assert read(table(tmp_path, ROWS), COLUMNS).left_out == ()


def test_a_quote_that_is_not_closed_is_named_with_the_line_on_which_its_row_begins(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 4: not CSV .*: is a quote not closed"):
        read(table(tmp_path, changed(2, '2020-01-01 02:00,"2.5,text,4')), COLUMNS)


def test_a_row_of_several_lines_is_named_by_its_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 4: 'much' is not a number"):
        read(table(tmp_path, changed(2, '2020-01-01 02:00,much,"a\nb",4')), COLUMNS)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("own.csv", "when,load\n2020,1\n".encode("utf-16-le"), "line 1: a zero byte: .* --encoding utf-16"),
        ("own.csv", "when,load\n2020,é\n".encode("windows-1252"), "line 2: byte 6 is not UTF-8 .* --encoding windows"),
        ("own.csv", b"when,load\n2020,\0\n", "line 2: a zero byte"),
        ("own.csv", b"PK\x03\x04\x14\x00", "is a workbook, or another kind of zip: save the sheet as CSV"),
        ("own.csv.gz", b"when,load\n", "does not unpack"),
        ("own.csv.gz", gzip.compress(b"when,load\n")[:-9], "does not unpack"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{reason}"):
        read(path, COLUMNS)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is a directory"):
        read(tmp_path, COLUMNS)


def test_a_quote_in_the_header_that_is_not_closed_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not CSV"):
        read(table(tmp_path, ROWS, header='when,"load\n'), COLUMNS)


def test_a_reading_that_the_service_would_refuse_is_refused(tmp_path: Path) -> None:
    assert LARGEST_READING == MAX_READING
    with pytest.raises(DataError, match=r"line 4: '-1e13' is beyond 1e\+12"):
        read(table(tmp_path, changed(2, "2020-01-01 02:00,-1e13,text,4")), COLUMNS)


def test_gaps_are_filled_with_a_straight_line(tmp_path: Path) -> None:
    found = mended(tmp_path, [*ROWS[:4], "2020-01-01 04:00,,t,1", *ROWS[7:]], gaps="interpolate")
    np.testing.assert_allclose(found.table.readings[:, 0], np.arange(12) + 0.5)
    assert found.num_filled == 3


def test_gaps_may_be_taken_for_no_time(tmp_path: Path) -> None:
    found = mended(tmp_path, [*ROWS[:4], *ROWS[7:]], gaps="ignore")
    assert found.table.readings[:, 0].tolist() == [0.5, 1.5, 2.5, 3.5, 7.5, 8.5, 9.5, 10.5, 11.5]


@pytest.mark.parametrize(("how", "kept"), [("first", 3.5), ("last", 9.5), ("mean", 6.5)])
def test_one_of_several_rows_of_a_time_is_kept(tmp_path: Path, how: str, kept: float) -> None:
    rows = [*ROWS[:4], "2020-01-01 03:00,9.5,t,1", *ROWS[4:]]
    found = mended(tmp_path, rows, duplicates=how)
    assert found.table.readings[3, 0] == kept
    assert len(found.table.readings) == len(ROWS)
    newest_first = mended(tmp_path, [*rows[5:][::-1], rows[3], rows[4], *rows[:3][::-1]], duplicates=how)
    np.testing.assert_array_equal(newest_first.table.readings, found.table.readings)


@pytest.mark.parametrize("gaps", ["refuse", "ignore", "interpolate"])
def test_rows_that_wait_for_their_readings_are_not_filled_up(tmp_path: Path, gaps: str) -> None:
    rows = [f"2020-01-01 {hour:02}:00,{hour if hour < 9 else ''},t,1" for hour in range(12)]
    with pytest.raises(DataError, match=r"line 11: no reading of 'load' from here to the last line, 13: .* take these"):
        mended(tmp_path, rows, gaps=gaps)


@pytest.mark.parametrize("nothing", ["", "NA", "n/a", "#N/A", "NaN", "NULL", "None"])
def test_a_column_of_numbers_may_begin_with_what_stands_for_no_reading(tmp_path: Path, nothing: str) -> None:
    found = read(table(tmp_path, [f"2020-01-01 00:00,0.5,text,{nothing}", *ROWS[1:]]), Columns("when", ()))
    assert found.table.channels == ("load", "heat")
    assert np.isnan(found.table.readings[0, 1])


def test_a_column_without_a_name_and_without_readings_is_left_out(tmp_path: Path) -> None:
    found = read(table(tmp_path, [f"{row}," for row in ROWS], "when,load,note,heat,\n"), Columns("when", ()))
    assert found.left_out == ("note", "")


def test_what_stands_where_no_column_holds_numbers_is_shown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: no column but that of the times holds numbers: '#5' of 'load'"):
        read(table(tmp_path, [f"2020-01-01 {hour:02}:00,#5" for hour in range(9)], "when,load\n"), Columns("when", ()))


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
    found = read(path, COLUMNS, writing=Writing(zone="Europe/Berlin"))
    assert found.table.readings[:, 0].tolist() == list(range(len(hours)))


def test_days_by_the_clocks_of_a_zone_are_days(tmp_path: Path) -> None:
    rows = [f"2020-03-{day},{day},t,1" for day in range(26, 32)]
    found = read(table(tmp_path, rows), COLUMNS, writing=Writing(zone="Europe/Berlin"))
    assert (str(found.interval), f"{found.times[0]}") == ("1 day", "2020-03-26 00:00:00")


def test_the_mean_of_rows_of_one_time_is_of_the_readings_that_are_there(tmp_path: Path) -> None:
    rows = [*ROWS[:4], "2020-01-01 03:00,,t,1", *ROWS[4:]]
    assert mended(tmp_path, rows, duplicates="mean").table.readings[3, 0] == 3.5


def test_a_channel_may_begin_later(tmp_path: Path) -> None:
    rows = [f"2020-01-01 {hour:02}:00,{hour if hour > 4 else ''},t,1" for hour in range(12)]
    readings = read(table(tmp_path, rows), COLUMNS).table.readings[:, 0]
    assert np.isnan(readings[:5]).all()
    assert readings[5:].tolist() == list(range(5, 12))


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
    found = read(path, COLUMNS, writing=Writing(zone="Europe/Berlin"))
    assert (str(found.interval), f"{found.times[0]}") == ("1 day", "2020-03-26 00:00:00")


@pytest.mark.parametrize("mark", ["", "\ufeff", "sep=;\r\n", "\ufeffSEP=;\n"])
def test_a_file_of_excels_in_most_of_europe_is_read(tmp_path: Path, mark: str) -> None:
    rows = [f"{day}.01.2020;1.{day:03},5 kWh;x, y;{day}" for day in range(1, 20)]
    path = table(tmp_path, rows, f"{mark}when;load, total;note;heat\n")
    found = read(path, Columns("when", ()))
    assert found.table.channels == ("load, total", "heat")
    assert found.table.readings[:2].tolist() == [[1001.5, 1], [1002.5, 2]]
    assert found.examples == ("'1.001,5 kWh' of 'load, total' is read as 1001.5",)


def test_the_line_before_the_header_counts(tmp_path: Path) -> None:
    rows = ["2020-01-01;much;a;1", "2020-01-02;1;a;1"]
    with pytest.raises(DataError, match="line 3: 'much' is not a number"):
        read(table(tmp_path, rows, f"sep=;\n{HEADER.replace(',', ';')}"), COLUMNS)
    with pytest.raises(DataError, match="line 2: no column 'power'"):
        read(table(tmp_path, rows, f"sep=;\n{HEADER.replace(',', ';')}"), Columns("when", ("power",)))


def test_a_table_in_another_encoding_is_read_where_it_is_named_or_marked(tmp_path: Path) -> None:
    path = table(tmp_path, ROWS, "when,Wärme,note,heat\n")
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.encode("windows-1252"))
    assert read(path, Columns("when", ("Wärme",)), writing=Writing(encoding="windows-1252")).table.channels == (
        "Wärme",
    )
    path.write_bytes(text.encode("utf-16"))
    assert read(path, Columns("when", ("Wärme",))).table.channels == ("Wärme",)


def test_empty_cells_beyond_the_header_are_nothing(tmp_path: Path) -> None:
    assert len(read(table(tmp_path, [f"{row},," for row in ROWS]), COLUMNS).table.readings) == len(ROWS)


def test_a_time_far_from_all_others_is_refused_and_not_filled_up_to(tmp_path: Path) -> None:
    path = table(tmp_path, ["1970-01-01 00:00,1,t,1", *ROWS])
    with pytest.raises(DataError, match=r"line 3: 438\d{3} rows every 1 hour are missing .* more than the 13"):
        read(path, COLUMNS, gaps="interpolate")


def test_rows_of_one_time_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rows of 1 times"):
        read(table(tmp_path, [ROWS[0], ROWS[0]]), COLUMNS, duplicates="first")


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
        (["01/02/2010", "01/03/2010"], 2, "'01/02/2010' does not tell the day from the month: say it by --dates"),
        (["01/13/2010", "14/01/2010"], 3, "another order than on line 2"),
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
    assert str(read(path, COLUMNS, writing=Writing(order=order)).interval) == expected


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_times_since_1970_are_those_of_utc(tmp_path: Path, unit: int) -> None:
    path = table(tmp_path, [f"{(1_700_000_000 + 60 * n) * unit},{n},x,0" for n in range(5)])
    found = read(path, COLUMNS)
    assert (str(found.interval), f"{found.times[0]}") == ("1 minute", "2023-11-14 22:13:20")


def test_a_file_that_begins_with_the_newest_row_is_turned_round(tmp_path: Path) -> None:
    found = read(table(tmp_path, ROWS[::-1]), COLUMNS)
    assert found.table.readings[:3, 0].tolist() == [0.5, 1.5, 2.5]
    with pytest.raises(DataError, match=r"line 3: .* is before .* of line 2: sort the file"):
        read(table(tmp_path, [ROWS[11], *ROWS[:11]]), COLUMNS)


def test_days_that_come_again_may_have_their_hour_in_another_column(tmp_path: Path) -> None:
    path = table(tmp_path, ["2020-01-01,1,00:00,1", "2020-01-01,2,01:00,1"])
    with pytest.raises(DataError, match=r"line 3: .* if the hour is in another column, join the two into one"):
        read(path, COLUMNS)


def test_rows_of_one_time_are_added_up(tmp_path: Path) -> None:
    rows = [*ROWS[:4], "2020-01-01 03:00,2,t,1", "2020-01-01 03:00,,t,1", *ROWS[4:]]
    assert mended(tmp_path, rows, duplicates="sum").table.readings[3, 0] == 5.5


def test_what_is_missing_may_be_zero(tmp_path: Path) -> None:
    rows = ["2020-01-01 00:00,,t,1", *ROWS[1:4], "2020-01-01 04:00,,t,1", *ROWS[7:]]
    found = mended(tmp_path, rows, gaps="zero")
    assert np.isnan(found.table.readings[0, 0])
    assert found.table.readings[3:8, 0].tolist() == [3.5, 0, 0, 0, 7.5]
    assert found.num_filled == 3


def test_a_line_of_sums_is_named_as_one_to_take_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 14: 'Total' is not a time: .* take out a line that has none"):
        read(table(tmp_path, [*ROWS, "Total,66,,"]), COLUMNS)


def test_an_empty_file_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: no column 'when'; the line is empty"):
        read(table(tmp_path, [], ""), COLUMNS)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing data file .*nowhere.csv"):
        read(tmp_path / "nowhere.csv", COLUMNS)
