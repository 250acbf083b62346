import pytest

from bench.figure import Figure
from bench.report import line, number, table


def test_a_table_tells_what_misses_its_limit() -> None:
    lines = table(
        [
            Figure("rate", 59.123, "%", at_least=60.0),
            Figure("latency", 4.5, "x", at_most=4.0),
            Figure("record", 12345.6, "rows/s"),
        ]
    ).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["rate", "59.1", "%", "≥", "60.0", "below", "the", "limit"],
        ["latency", "4.50", "x", "≤", "4.00", "over", "the", "limit"],
        ["record", "12,346", "rows/s"],
    ]


@pytest.mark.parametrize("figure", [Figure("rate", 59.123, "%", at_least=60.0), Figure("record", 12345.6, "rows/s")])
def test_a_line_says_what_the_table_says(figure: Figure) -> None:
    assert line(figure).split() == table([figure]).splitlines()[1].split()


def test_lines_stand_in_columns() -> None:
    short, long = line(Figure("rate", 1.0, "x")), line(Figure("a longer rate", 12345.6, "rows/s"))
    assert short.index("1.00") + 4 == long.index("12,346") + 6


@pytest.mark.parametrize(("value", "shown"), [(0.1234, "0.12"), (12.345, "12.3"), (123.45, "123"), (1e6, "1,000,000")])
def test_numbers_have_the_digits_that_matter(value: float, shown: str) -> None:
    assert number(value) == shown
