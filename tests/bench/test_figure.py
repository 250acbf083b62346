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


def test_a_figure_without_limit_is_only_reported() -> None:
    assert Figure("steps", 1.0, "x").reached
