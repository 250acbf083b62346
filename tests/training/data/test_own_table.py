"""A user's table: what is read, and the line of what is not."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from service.forms.form import MAX_READING
from tests.training.data.tables import COLUMNS, ROWS, changed, table
from training.data.own_rows import Columns
from training.data.own_table import OwnTable, read
from training.data.source import DataError
from training.data.table import LARGEST_READING


def test_columns_are_read_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    found = read(table(tmp_path, ROWS), Columns("when", ("heat", "load")))
    assert found.table.channels == ("heat", "load")
    np.testing.assert_array_equal(found.table.readings[:3], [[0, 0.5], [1, 1.5], [4, 2.5]])
    assert (str(found.interval), found.num_filled) == ("1 hour", 0)


def test_without_names_all_columns_of_numbers_are_read(tmp_path: Path) -> None:
    assert read(table(tmp_path, ROWS), Columns("when", ())).table.channels == ("load", "heat")


def test_a_constant_column_is_refused_with_what_names_the_others(tmp_path: Path) -> None:
    rows = [f"2020-01-01 {hour:02}:00,7,t,{hour}" for hour in range(9)]
    with pytest.raises(DataError, match=r"line 2: every reading of 'load' is 7, .* columns: --target heat$"):
        read(table(tmp_path, rows), Columns("when", ()))


def test_columns_are_named_so_that_the_command_line_takes_them_and_of_many_the_first(tmp_path: Path) -> None:
    def advice(*names: str) -> str:
        path = tmp_path / "wide.csv"
        rows = [f"2020-01-01 {hour:02}:00,7{f',{hour}' * len(names)}" for hour in range(9)]
        path.write_text("\n".join([",".join(["when", "load", *names]), *rows]))
        with pytest.raises(DataError, match="every reading of 'load' is 7") as told:
            read(path, Columns("when", ()))
        return str(told.value).partition("name the other columns: ")[2]

    assert advice("-b", "c d", "-e f") == "--target=-b --target 'c d' '--target=-e f'"
    ten = [f"c{number}" for number in range(10)]
    assert advice(*ten) == " ".join(f"--target {name}" for name in ten)
    assert advice(*ten, "x", "y") == f"{advice(*ten)} and 2 more"


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ([*ROWS[:4], *ROWS[6:]], 6, "2 of the rows every hour are missing .* --gaps interpolate"),
        ([*ROWS[:4], ROWS[3], *ROWS[4:]], 6, "also the time of line 5: --duplicates"),
        ([f"2024-10-27 {hour:02}:00,{hour},t,{hour}" for hour in (0, 1, 2, 2, 3)], 5, "if clocks were put back, name"),
        ([*ROWS[:4], ROWS[1], *ROWS[4:]], 6, "is before .* of line 5"),
        (changed(5, "2020-01-01 05:20,5,t,2"), 7, "1.33 steps of 1 hour after line 6"),
        (changed(5, "2020-01-01 05:00,,t,2"), 7, "no reading of 'load': --gaps interpolate"),
        (changed(5, "2020-01-01 05:00,much,t,2"), 7, "'much' is not a number: leave the cell empty"),
        (changed(5, "2020-01-01 05:00,inf,t,2"), 7, "not a finite number"),
        (changed(5, "yesterday-ish,1,t,2"), 7, "'yesterday-ish' is not a time"),
        (changed(5, "2020-01-01 05:00 PST,1,t,2"), 7, "the time zone of '2020-01-01 05:00 PST' is unknown"),
        (changed(5, "2020-01-01 05:00+01:00,1,t,2"), 7, "has a zone, and the first time has none"),
        (changed(5, '2020-01-01 05:00,"1,5",t,2'), 7, "'1,5' of 'load' and '0.5' of line 2 have different"),
        (changed(5, "6,5,t,2"), 7, "'6' is not a time: write times as 2024-12-31"),
        (changed(5, "202006,5,t,2"), 7, "'202006' is not a time"),
        (changed(5, "06/20,5,t,2"), 7, "'06/20' has no year: write times as 2024-12-31"),
        (changed(5, "Jan-20,5,t,2"), 7, "'Jan-20' has no year"),
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


def test_a_reading_that_the_service_would_refuse_is_refused(tmp_path: Path) -> None:
    assert LARGEST_READING == MAX_READING
    with pytest.raises(DataError, match=r"line 4: '-1e13' is beyond 1e\+12"):
        read(table(tmp_path, changed(2, "2020-01-01 02:00,-1e13,text,4")), COLUMNS)


def test_gaps_are_filled_with_a_straight_line(tmp_path: Path) -> None:
    found = mended(tmp_path, [*ROWS[:4], "2020-01-01 04:00,,t,1", *ROWS[7:]], gaps="interpolate")
    np.testing.assert_allclose(found.table.readings[:, 0], np.arange(12) + 0.5)
    assert found.num_filled == 3
    assert found.times == tuple(datetime(2020, 1, 1, hour) for hour in range(12))  # noqa: DTZ001  # as in the file


def test_gaps_may_be_taken_for_no_time(tmp_path: Path) -> None:
    found = mended(tmp_path, [*ROWS[:4], *ROWS[7:]], gaps="ignore")
    assert found.table.readings[:, 0].tolist() == [0.5, 1.5, 2.5, 3.5, 7.5, 8.5, 9.5, 10.5, 11.5]
    assert [time.hour for time in found.times] == [0, 1, 2, 3, 7, 8, 9, 10, 11]


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
    with pytest.raises(
        DataError, match=r"line 11: no reading of 'load' from here to the last line, 13: .* remove these"
    ):
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
    with pytest.raises(DataError, match="line 2: no column but the times holds numbers: '#5' of 'load'"):
        read(table(tmp_path, [f"2020-01-01 {hour:02}:00,#5" for hour in range(9)], "when,load\n"), Columns("when", ()))


def test_the_mean_of_rows_of_one_time_is_of_the_readings_that_are_there(tmp_path: Path) -> None:
    rows = [*ROWS[:4], "2020-01-01 03:00,,t,1", *ROWS[4:]]
    assert mended(tmp_path, rows, duplicates="mean").table.readings[3, 0] == 3.5


def test_a_channel_may_begin_later(tmp_path: Path) -> None:
    rows = [f"2020-01-01 {hour:02}:00,{hour if hour > 4 else ''},t,1" for hour in range(12)]
    readings = read(table(tmp_path, rows), COLUMNS).table.readings[:, 0]
    assert np.isnan(readings[:5]).all()
    assert readings[5:].tolist() == list(range(5, 12))


def test_a_time_far_from_all_others_is_refused_and_not_filled_up_to(tmp_path: Path) -> None:
    path = table(tmp_path, ["1970-01-01 00:00,1,t,1", *ROWS])
    with pytest.raises(DataError, match=r"line 3: 438\d{3} rows every hour are missing .* more than the 13"):
        read(path, COLUMNS, gaps="interpolate")


def test_rows_of_one_time_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rows of 1 time;"):
        read(table(tmp_path, [ROWS[0], ROWS[0]]), COLUMNS, duplicates="first")


def test_a_file_that_begins_with_the_newest_row_is_turned_round(tmp_path: Path) -> None:
    found = read(table(tmp_path, ROWS[::-1]), COLUMNS)
    assert found.table.readings[:3, 0].tolist() == [0.5, 1.5, 2.5]
    with pytest.raises(DataError, match=r"line 3: .* is before .* of line 2: sort the file"):
        read(table(tmp_path, [ROWS[11], *ROWS[:11]]), COLUMNS)


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


@pytest.mark.parametrize(("day", "is_asked"), [("2020-01-05", False), ("2020-03-29", True), ("2020-03-30", False)])
def test_one_missing_hour_is_blamed_on_clocks_only_where_they_may_be_put_forward(
    tmp_path: Path, day: str, *, is_asked: bool
) -> None:
    rows = [f"{day} {hour:02}:00,{hour},t,1" for hour in range(12) if hour != 2]
    with pytest.raises(DataError, match="1 of the rows every hour is missing") as refused:
        read(table(tmp_path, rows), COLUMNS)
    assert ("--zone" in str(refused.value)) == is_asked
