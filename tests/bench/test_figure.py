"""A figure knows whether it keeps its limit."""

from math import nan

import pytest

from bench.figure import Figure


@pytest.mark.parametrize(("value", "is_kept"), [(3.0, True), (2.0, True), (1.0, False), (nan, False)])
def test_a_lower_limit_is_kept_above_it(value: float, is_kept: bool) -> None:
    assert Figure("steps", value, "x", at_least=2.0).is_kept is is_kept


@pytest.mark.parametrize(("value", "is_kept"), [(3.0, False), (2.0, True), (1.0, True), (nan, False)])
def test_an_upper_limit_is_kept_below_it(value: float, is_kept: bool) -> None:
    assert Figure("steps", value, "x", at_most=2.0).is_kept is is_kept


def test_a_figure_without_limit_is_only_reported() -> None:
    figure = Figure("steps", 1.0, "x")
    assert figure.is_kept
    assert not figure.has_limit
