import numpy as np
import pytest

from training.calibration import NUM_BINS, calibration


def test_probabilities_that_are_right_as_often_as_they_say_have_no_error() -> None:
    found = calibration(np.array([0.75] * 4 + [1.0] * 2), np.array([True, True, False, True, True, True]))
    assert found.error == 0
    assert found.counts.sum() == 6


def test_the_error_is_how_far_each_bin_is_off_weighted_by_its_texts() -> None:
    found = calibration(np.array([0.9, 0.9, 0.9, 0.6]), np.array([True, False, False, True]))
    assert found.error == pytest.approx((3 * (0.9 - 1 / 3) + (1 - 0.6)) / 4)


def test_a_bin_holds_its_upper_edge() -> None:
    found = calibration(np.arange(1, NUM_BINS + 1) / NUM_BINS, np.ones(NUM_BINS, bool))
    assert found.counts.tolist() == [1] * NUM_BINS


def test_a_bin_is_off_by_its_mean_and_not_by_each_text() -> None:
    assert calibration(np.array([0.61, 0.65]), np.array([False, True])).error == pytest.approx(0.63 - 0.5)
