"""A figure knows whether it keeps its limit."""

from math import nan

import pytest

from bench.figure import Figure


@pytest.mark.parametrize(
    ("value", "higher_is_better", "reached"), [(3, True, True), (1, True, False), (3, False, False), (1, False, True)]
)
def test_a_limit_is_kept_on_its_own_side(value: float, higher_is_better: bool, reached: bool) -> None:
    assert Figure("steps", value, "x", 2.0, higher_is_better).reached is reached


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_no_measurement_keeps_no_limit(higher_is_better: bool) -> None:
    assert not Figure("steps", nan, "x", 2.0, higher_is_better).reached


def test_the_line_says_what_was_missed() -> None:
    line = str(Figure("steps", 1234.5, "rows/s", 2000.0))
    assert line.split() == ["steps", "1,234.50", "rows/s", ">=", "2,000", "MISSED"]


def test_a_figure_without_limit_is_only_reported() -> None:
    figure = Figure("steps", 1.0, "x")
    assert figure.reached
    assert str(figure).split() == ["steps", "1.00", "x"]
