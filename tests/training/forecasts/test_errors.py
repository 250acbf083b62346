"""The sums behind the figures."""

import numpy as np
import pytest
import torch

from training.forecasts.errors import Errors
from training.models.forecaster import QUANTILE_LEVELS


def test_figures_are_means_over_all_forecast_readings() -> None:
    errors = Errors()
    actual = torch.tensor([[1.0, 2.0, -3.0]], dtype=torch.float64)
    quantiles = torch.tensor(QUANTILE_LEVELS, dtype=torch.float64).expand(1, 3, -1)  # 0.05 to 0.95
    errors.add(torch.zeros_like(actual), quantiles * 2, actual, actual)
    found = errors.figures()
    assert found["mse"] == pytest.approx(14 / 3)
    assert found["mae"] == pytest.approx(2.0)
    assert found["coverage_80"] == pytest.approx(1 / 3)  # 0.2 to 1.8 holds only the first
    assert found["seasonal_wql"] == 0.0
    levels = np.array(QUANTILE_LEVELS)
    pinball = np.mean(
        [np.maximum(levels * (y - 2 * levels), (levels - 1) * (y - 2 * levels)) for y in (1.0, 2.0, -3.0)]
    )
    assert found["wql"] == pytest.approx(2 * 3 * pinball / 6)


def test_a_forecast_of_what_came_has_no_error() -> None:
    errors = Errors()
    actual = torch.tensor([[1.0, -2.0], [0.5, 4.0]], dtype=torch.float64)
    errors.add(actual, actual.unsqueeze(2).expand(-1, -1, len(QUANTILE_LEVELS)), actual, actual + 1)
    found = errors.figures()
    assert found == {
        "mse": 0.0,
        "mae": 0.0,
        "smape": 0.0,
        "seasonal_mae": 1.0,
        "seasonal_smape": pytest.approx((2 / 3 + 2 / 3 + 2 / 2 + 2 / 9) / 4),
        "coverage_80": 1.0,
        "wql": 0.0,
        "seasonal_mse": 1.0,
        "seasonal_wql": pytest.approx(4 / 7.5),
    }


def test_shares_are_the_same_in_any_unit() -> None:
    actual = torch.tensor([[1.0, 2.0, -3.0, 0.0]], dtype=torch.float64)
    found = []
    for unit in (1.0, 1e-15):
        errors = Errors()
        quantiles = (unit * actual).unsqueeze(2).expand(-1, -1, len(QUANTILE_LEVELS))
        errors.add(unit * torch.tensor([[2.0, 1.0, 3.0, 0.0]]).double(), quantiles, unit * actual, 2 * unit * actual)
        found.append((errors.figures()["smape"], errors.figures()["seasonal_smape"]))
    assert found[0] == pytest.approx(((2 / 3 + 2 / 3 + 2) / 4, 2 / 3 * 3 / 4))
    assert found[1] == pytest.approx(found[0])


def test_readings_of_nothing_but_zero_have_no_weighted_loss() -> None:
    errors = Errors()
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    errors.add(zeros + 0.5, torch.zeros(2, 3, len(QUANTILE_LEVELS), dtype=torch.float64), zeros, zeros)
    assert errors.figures().keys().isdisjoint({"wql", "seasonal_wql"})


def test_an_error_counts_as_it_is_where_the_seasonal_naive_forecast_makes_none() -> None:
    errors = Errors()
    actual = torch.ones(2, 3, dtype=torch.float64)
    quantiles = actual.unsqueeze(2).expand(-1, -1, len(QUANTILE_LEVELS))
    errors.add(actual + 2, quantiles, actual, actual)
    assert errors.relative_mse() == 4.0
    errors.add(actual + 2, quantiles, actual, actual + 4)
    assert errors.relative_mse() == 4.0 / 8.0
