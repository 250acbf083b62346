"""Quantiles between known ones."""

import numpy as np

from service.decoding.quantiles import interpolate_quantiles

KNOWN = (0.1, 0.5, 0.9)
VALUES = np.array([[1.0, 2.0, 4.0], [-3.0, 0.0, 0.5]])


def test_known_levels_are_answered_as_they_are() -> None:
    np.testing.assert_array_equal(interpolate_quantiles(VALUES, KNOWN, KNOWN), VALUES)


def test_levels_between_are_linear() -> None:
    np.testing.assert_allclose(interpolate_quantiles(VALUES, KNOWN, [0.3, 0.8]), [[1.5, 3.5], [-1.5, 0.375]])


def test_more_levels_stay_ordered() -> None:
    answered = interpolate_quantiles(VALUES, KNOWN, np.linspace(0.1, 0.9, 33).tolist())
    assert (np.diff(answered, axis=1) >= 0).all()
