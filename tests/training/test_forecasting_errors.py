"""The protocol of the figures: which windows, which readings, which sums."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.data import etth1
from training.models.forecaster import QUANTILE_LEVELS
from training.models.forecasting import ForecastingModel, ForecastingModelSettings
from training.tasks import forecast_errors
from training.tasks.forecast_errors import Channels, Errors

ROWS = range(250, 360)
H, SEGMENT = 48, 24


@pytest.fixture
def readings() -> NDArray[np.float64]:
    hours = np.arange(ROWS.stop)[:, None]
    return np.sin(hours * 2 * np.pi / 24 + np.arange(2)) + np.random.default_rng(0).normal(0, 0.1, (ROWS.stop, 2))


@pytest.fixture
def model() -> ForecastingModel:
    torch.manual_seed(0)
    return ForecastingModel(ForecastingModelSettings(embedding_size=5, hidden_size=7)).eval().requires_grad_(False)


@pytest.mark.parametrize(("horizon", "windows"), [(96, 2785), (192, 2689), (336, 2545), (720, 2161)])
def test_the_number_of_windows_is_the_published_one(horizon: int, windows: int) -> None:
    assert len(forecast_errors.origins(etth1.SPLITS["test"], horizon)) == windows


def test_windowed_forecasts_are_those_of_fresh_sessions(model: ForecastingModel, readings: NDArray[np.float64]) -> None:
    squares = []
    for origin in forecast_errors.origins(ROWS, H):
        x = torch.from_numpy(readings[origin - 96 : origin].T.copy()).view(2, 4, SEGMENT)
        _, state = model.unroll(x, model.initial_state(2))
        pending = torch.zeros(2, SEGMENT, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
        mean = model.forecast(state, *pending, H // SEGMENT)["mean"]
        squares.append((mean.numpy() - readings[origin : origin + H].T) ** 2)
    expected = float(np.mean(squares))
    assert forecast_errors.windowed(model, Channels.unknown(readings), ROWS, H, etth1.PROTOCOL).figures()[
        "mse"
    ] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("phase", [0, 7])
def test_streamed_forecasts_are_those_of_one_long_session(
    model: ForecastingModel, readings: NDArray[np.float64], phase: int
) -> None:
    squares = []
    for origin in forecast_errors.origins(ROWS, H):
        past = readings[phase:origin].T
        whole = past.shape[1] // SEGMENT
        x = torch.from_numpy(past[:, : whole * SEGMENT].copy()).view(2, whole, SEGMENT)
        _, state = model.unroll(x, model.initial_state(2))
        partial = torch.full((2, SEGMENT), torch.nan, dtype=torch.float64)
        rest = torch.from_numpy(past[:, whole * SEGMENT :].copy())
        partial[:, : rest.shape[1]] = rest
        mean = model.forecast(state, partial, torch.full((2,), rest.shape[1]), H // SEGMENT)["mean"]
        squares.append((mean.numpy() - readings[origin : origin + H].T) ** 2)
    streamed = forecast_errors.streamed(
        model, Channels.unknown(readings), ROWS, H, etth1.PROTOCOL, phases=(phase,)
    ).figures()
    assert streamed["mse"] == pytest.approx(float(np.mean(squares)), rel=1e-5)


def test_the_seasonal_naive_forecast_repeats_the_last_day(
    model: ForecastingModel, readings: NDArray[np.float64]
) -> None:
    squares = [
        (np.tile(readings[origin - 24 : origin], (2, 1)) - readings[origin : origin + H]) ** 2
        for origin in forecast_errors.origins(ROWS, H)
    ]
    figures = forecast_errors.windowed(model, Channels.unknown(readings), ROWS, H, etth1.PROTOCOL).figures()
    assert figures["seasonal_mse"] == pytest.approx(float(np.mean(squares)), rel=1e-12)


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
