"""What chooses the best epoch."""

import math

import pytest

from training.tasks.task import Goal


@pytest.mark.parametrize(("value", "expected"), [(0.8, True), (0.6, False)])
def test_a_better_value_beats_the_best_so_far(value: float, expected: bool) -> None:
    assert Goal("accuracy", "higher").is_better({"accuracy": value}, {"accuracy": 0.7}) is expected
    assert Goal("accuracy", "lower").is_better({"accuracy": value}, {"accuracy": 0.7}) is not expected


def test_any_number_beats_nothing_and_no_number_beats_anything() -> None:
    goal = Goal("loss", "lower")
    assert goal.is_better({"loss": 9.0}, None)
    assert not goal.is_better({"loss": math.nan}, None)
    assert not goal.is_better({"loss": math.nan}, {"loss": 9.0})


def test_equals_are_told_apart_by_their_loss_where_that_is_wanted() -> None:
    best, later = {"accuracy": 1.0, "loss": 0.6}, {"accuracy": 1.0, "loss": 0.1}
    assert Goal("accuracy", "higher", tie_breaker="loss").is_better(later, best)
    assert not Goal("accuracy", "higher", tie_breaker="loss").is_better(best, later)
    assert not Goal("accuracy", "higher").is_better(later, best)
