"""The protocol of the figures: which windows, which readings."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.data import etth1
from training.data.series import Protocol
from training.forecasts.backtest import Backtest, Channels, errors_by_kind, figures_of, origins, own_unit_figures
from training.models.streaming_forecaster import StreamingForecaster, StreamingForecasterSettings

ROWS = range(250, 360)
H, SEGMENT = 48, 24


@pytest.fixture
def readings() -> NDArray[np.float64]:
    hours = np.arange(ROWS.stop)[:, None]
    return np.sin(hours * 2 * np.pi / 24 + np.arange(2)) + np.random.default_rng(0).normal(0, 0.1, (ROWS.stop, 2))


@pytest.fixture
def model() -> StreamingForecaster:
    torch.manual_seed(0)
    return (
        StreamingForecaster(StreamingForecasterSettings(embedding_size=5, hidden_size=7)).eval().requires_grad_(False)
    )


@pytest.mark.parametrize(("horizon", "windows"), [(96, 2785), (192, 2689), (336, 2545), (720, 2161)])
def test_the_number_of_windows_is_the_published_one(horizon: int, windows: int) -> None:
    assert len(origins(etth1.SPLITS["test"], horizon)) == windows


def test_windowed_forecasts_are_those_of_fresh_sessions(
    model: StreamingForecaster, readings: NDArray[np.float64]
) -> None:
    squares = []
    for origin in origins(ROWS, H):
        x = torch.from_numpy(readings[origin - 96 : origin].T.copy()).view(2, 4, SEGMENT)
        _, state = model.unroll(x, model.initial_state(2))
        pending = torch.zeros(2, SEGMENT, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
        mean = model.forecast(state, *pending, H // SEGMENT)["mean"]
        squares.append((mean.numpy() - readings[origin : origin + H].T) ** 2)
    expected = float(np.mean(squares))
    found = Backtest(model, Channels.unknown(readings), ROWS, etth1.PROTOCOL).windowed(H).figures()
    assert found["mse"] == pytest.approx(expected, rel=1e-5)


def test_a_window_shorter_than_a_segment_is_all_pending(readings: NDArray[np.float64]) -> None:
    torch.manual_seed(0)
    sizes = StreamingForecasterSettings(segment=120, season=120, embedding_size=5, hidden_size=7)
    long = StreamingForecaster(sizes).eval().requires_grad_(False)
    squares = []
    for origin in origins(ROWS, H):
        partial = torch.zeros(2, 120, dtype=torch.float64)
        partial[:, :96] = torch.from_numpy(readings[origin - 96 : origin].T.copy())
        mean = long.forecast(long.initial_state(2), partial, torch.full((2,), 96), 1)["mean"][:, :H]
        squares.append((mean.numpy() - readings[origin : origin + H].T) ** 2)
    found = Backtest(long, Channels.unknown(readings), ROWS, etth1.PROTOCOL).windowed(H).figures()
    assert found["mse"] == pytest.approx(float(np.mean(squares)), rel=1e-5)


@pytest.mark.parametrize("phase", [0, 7])
def test_streamed_forecasts_are_those_of_one_long_session(
    model: StreamingForecaster, readings: NDArray[np.float64], phase: int
) -> None:
    squares = []
    for origin in origins(ROWS, H):
        past = readings[phase:origin].T
        whole = past.shape[1] // SEGMENT
        x = torch.from_numpy(past[:, : whole * SEGMENT].copy()).view(2, whole, SEGMENT)
        _, state = model.unroll(x, model.initial_state(2))
        partial = torch.full((2, SEGMENT), torch.nan, dtype=torch.float64)
        rest = torch.from_numpy(past[:, whole * SEGMENT :].copy())
        partial[:, : rest.shape[1]] = rest
        mean = model.forecast(state, partial, torch.full((2,), rest.shape[1]), H // SEGMENT)["mean"]
        squares.append((mean.numpy() - readings[origin : origin + H].T) ** 2)
    streamed = Backtest(model, Channels.unknown(readings), ROWS, etth1.PROTOCOL).streamed(H, (phase,)).figures()
    assert streamed["mse"] == pytest.approx(float(np.mean(squares)), rel=1e-5)


def test_the_seasonal_naive_forecast_repeats_the_last_day(
    model: StreamingForecaster, readings: NDArray[np.float64]
) -> None:
    squares = [
        (np.tile(readings[origin - 24 : origin], (2, 1)) - readings[origin : origin + H]) ** 2
        for origin in origins(ROWS, H)
    ]
    figures = Backtest(model, Channels.unknown(readings), ROWS, etth1.PROTOCOL).windowed(H).figures()
    assert figures["seasonal_mse"] == pytest.approx(float(np.mean(squares)), rel=1e-12)


def test_segments_of_one_reading_are_backtested(readings: NDArray[np.float64]) -> None:
    settings = StreamingForecasterSettings(segment=1, season=24, max_segments=12, embedding_size=5, hidden_size=7)
    model = StreamingForecaster(settings).eval().requires_grad_(False)
    protocol = Protocol(look_back=None, horizons=(12,), naive_season=24)
    backtest = Backtest(model, Channels.unknown(readings), ROWS, protocol, stride=50, keeps_scores=True)
    (errors,) = errors_by_kind(backtest)["streamed"]
    assert errors.conformity_scores[0].shape == (2 * 2, 12)  # two origins of two channels


def test_channels_that_repeat_themselves_exactly_have_no_part_in_mase(
    model: StreamingForecaster, readings: NDArray[np.float64]
) -> None:
    protocol, train = Protocol(look_back=None, horizons=(H,), naive_season=24), range(ROWS.start)
    repeated = np.tile(np.arange(24.0), 15)[:, None]

    def figures(channels: NDArray[np.float64]) -> dict[str, float]:
        return own_unit_figures(Backtest(model, Channels.unknown(channels), ROWS, protocol, stride=20), train)

    assert "mase_h48" not in figures(repeated)
    alone, beside = figures(readings), figures(np.hstack([readings, repeated]))
    assert beside["mase_h48"] == pytest.approx(alone["mase_h48"])
    assert beside["seasonal_mase_h48"] == pytest.approx(alone["seasonal_mase_h48"])


def test_figures_are_of_the_phases_that_are_asked_for(
    model: StreamingForecaster, readings: NDArray[np.float64]
) -> None:
    protocol = Protocol(look_back=None, horizons=(H,), naive_season=24)
    backtest = Backtest(model, Channels.unknown(readings), ROWS, protocol)
    alone, pooled = backtest.streamed(H).figures(), backtest.streamed(H, backtest.phases).figures()
    assert figures_of(backtest, (0,))["coverage_80_h48"] == alone["coverage_80"] != pooled["coverage_80"]
    assert figures_of(backtest)["coverage_80_h48"] == pooled["coverage_80"]
