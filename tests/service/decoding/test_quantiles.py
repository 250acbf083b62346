"""Quantiles between known ones."""

import numpy as np

from service.decoding.quantiles import interpolate_quantiles

KNOWN = (0.1, 0.5, 0.9)
VALUES = np.array([[1.0, 2.0, 4.0], [-3.0, 0.0, 0.5]])


def test_known_levels_are_answered_as_they_are() -> None:
    np.testing.assert_array_equal(interpolate_quantiles(VALUES, KNOWN, KNOWN), VALUES)


def test_known_levels_are_exact_where_their_difference_is_rounded() -> None:
    values = np.array([[-1e16, 1.0, 2.0]])
    np.testing.assert_array_equal(interpolate_quantiles(values, KNOWN, KNOWN), values)


def test_the_middle_of_two_levels_is_their_mean() -> None:
    np.testing.assert_allclose(interpolate_quantiles(np.array([[1.0, 2.0]]), (0.25, 0.75), [0.5]), [[1.5]])


def test_levels_between_are_linear() -> None:
    np.testing.assert_allclose(interpolate_quantiles(VALUES, KNOWN, [0.3, 0.8]), [[1.5, 3.5], [-1.5, 0.375]])


def test_more_levels_stay_ordered() -> None:
    answered = interpolate_quantiles(VALUES, KNOWN, np.linspace(0.1, 0.9, 33).tolist())
    assert (np.diff(answered, axis=1) >= 0).all()
