"""Readings that are asked about, and those that are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.table import Table
from training.own.outliers import outlier_warnings


def asked(readings: NDArray[np.float64]) -> list[str]:
    return list(outlier_warnings(Table(("a",), readings[:, None])))


@pytest.mark.parametrize("code", [-999, 999, -9999, 9999, -99.9, 999.9, -99])
@pytest.mark.parametrize("count", [1, 30, 500])
def test_nines_outside_all_others_are_asked_about(code: float, count: int) -> None:
    readings = np.random.default_rng(0).normal(10, 3, 1000)
    readings[:count] = code
    (said,) = asked(readings)
    assert f"'a' has {code:g} {count} time" in said or f"'a' has a reading of {code:g}" in said


@pytest.mark.parametrize("seed", range(20))
def test_ordinary_readings_are_not_asked_about(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for readings in (
        rng.lognormal(0, 1, 20_000),
        np.round(rng.lognormal(4, 1.1, 20_000)),
        np.minimum(np.round(rng.lognormal(4, 1, 5000)), 999),
        np.round(rng.normal(1000, 20, 5000)),
        rng.standard_t(3, 5000),
    ):
        assert asked(readings) == []
