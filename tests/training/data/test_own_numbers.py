"""Numbers as people write them."""

import math
from pathlib import Path

import pytest

from training.data.own_numbers import Column, Decimal, Numbers, parse
from training.data.source import DataError

PATH = Path("own.csv")


def column(*cells: str, name: str = "load") -> Column:
    return Column(name, list(enumerate(cells, start=2)))


def numbers(*columns: Column, delimiter: str = ";", decimal: Decimal | None = None) -> Numbers:
    return parse(columns, PATH, delimiter, decimal)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.234,56", "12,5", "-0,25", "7"], [1234.56, 12.5, -0.25, 7]),
        (["1,234.56", "12.5", "-.25", "7."], [1234.56, 12.5, -0.25, 7]),
        (["1 234,5", "1\u00a0234\u00a0567,5", "12,25"], [1234.5, 1234567.5, 12.25]),
        (["1'234.50", "12\u2019345.00"], [1234.5, 12345]),
        (["1.234.567", "12.345"], [1234567, 12345]),
        (["0,125", "1,234"], [0.125, 1.234]),
        (["1234,567", "1,234"], [1234.567, 1.234]),
        (["1e3", "2.5E-1", "+4"], [1000, 0.25, 4]),
        (["12,5 kWh", "1.000,0 kWh"], [12.5, 1000]),
        (["-\u20ac1,234.50", "\u20ac 12.00"], [-1234.5, 12]),
        (["R$ -1.234,50", "R$ 12,00"], [-1234.5, 12]),
        (["\u22125,5 \u00b0C", "12,5 \u00b0C"], [-5.5, 12.5]),
        (["5 %", "12 %"], [5, 12]),
        (["3 m\u00b3/h", "4 m\u00b3/h"], [3, 4]),
    ],
)
def test_a_column_is_read_as_all_of_its_cells_tell(cells: list[str], expected: list[float]) -> None:
    assert numbers(column(*cells)).readings == [expected]
    assert column(*cells).holds_numbers


@pytest.mark.parametrize("nothing", ["", "-", "NA", "#N/A"])
def test_no_reading_is_none(nothing: str) -> None:
    readings = numbers(column("1,5", nothing)).readings[0]
    assert readings[0] == 1.5
    assert math.isnan(readings[1])


@pytest.mark.parametrize(
    ("cells", "delimiter", "expected"),
    [
        (["1.234", "2.345"], ",", [1.234, 2.345]),
        (["1,234", "2,345"], ",", [1234, 2345]),
        (["1,234", "2,345"], ";", [1.234, 2.345]),
    ],
)
def test_the_delimiter_tells_where_no_cell_does(cells: list[str], delimiter: str, expected: list[float]) -> None:
    assert numbers(column(*cells), delimiter=delimiter).readings == [expected]


@pytest.mark.parametrize(("cell", "delimiter"), [("1.234", ";"), ("1.234", "\t"), ("1,234", "\t")])
def test_a_number_that_may_be_two_is_refused_and_the_user_tells(cell: str, delimiter: str) -> None:
    doubtful = column("7", cell)
    with pytest.raises(DataError, match=rf"own.csv, line 3: '{cell}' of 'load' may be .* with --decimal"):
        numbers(doubtful, delimiter=delimiter)
    for decimal in (".", ","):
        expected = 1.234 if decimal in cell else 1234
        assert numbers(doubtful, delimiter=delimiter, decimal=decimal).readings == [[7, expected]]  # type: ignore[arg-type]


def test_other_columns_tell() -> None:
    assert numbers(column("1.234", "5"), column("12,5", "1", name="heat")).readings[0] == [1234, 5]
    assert numbers(column("1.234", "5"), column("12.5", "1", name="heat")).readings[0] == [1.234, 5]
    with pytest.raises(DataError, match=r"line 2: .* of 'load' may be 1\.234 or 1234"):
        numbers(column("1.234"), column("12,5", name="a"), column("12.5", name="b"))


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["1,5", "much"], "line 3: 'much' is not a number: leave the cell empty"),
        (["sunny", "rain"], "line 2: 'sunny' is not a number, nor is any cell of 'load': name columns of numbers"),
        (["1,5", "2.5"], "line 3: '2.5' of 'load' and '1,5' of line 2 have different decimal signs"),
        (["1", "1,23,456.7"], "line 3: '1,23,456.7' is not a number"),
        (["1", "inf"], "line 3: 'inf' is not a finite number"),
        (["1,5 kWh", "2,5 MWh"], "line 3: '2,5 MWh' of 'load' has the unit 'MWh', and cells above have the unit 'kWh'"),
        (["1,5 kWh", "2,5"], "line 3: '2,5' of 'load' has no unit, and cells above have the unit 'kWh'"),
    ],
)
def test_what_is_not_written_like_the_rest_is_refused_with_its_line(cells: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=f"own.csv, {reason}"):
        numbers(column(*cells))


def test_a_decimal_sign_that_is_told_holds_for_all_cells() -> None:
    with pytest.raises(DataError, match="line 2: '1,5' of 'load' has no decimal point"):
        numbers(column("1,5"), decimal=".")


@pytest.mark.parametrize("cells", [["12 Main St", "7 Oak Ave"], ["10:00", "11:00"], ["A17"], ["Room 5"], ["", "-"]])
def test_words_that_begin_with_a_number_are_none(cells: list[str]) -> None:
    assert not column(*cells).holds_numbers


def test_what_is_written_otherwise_than_in_python_is_told_with_an_example() -> None:
    found = numbers(column("5", "1.234,5"), column("5", "6.5", name="heat"))
    assert found.examples == ("'1.234,5' of 'load' is read as 1234.5",)
