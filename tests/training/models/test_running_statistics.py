"""Running seasons of several segments, and what is known of a channel from before."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.testing import assert_close

from training.models.forecaster import StaticFeatures
from training.models.running_statistics import RunningStatistics, Seasonality, peek_segment, read_segment
from training.models.streaming_forecaster import StreamingForecaster, StreamingForecasterSettings

N, S, P = 2, 4, 3
SEASONALITY = Seasonality(segment=S, season=S * P, decays=(0.5, 0.9), scale_decay=0.8)


def fresh() -> RunningStatistics:
    nothing = torch.zeros(N, 1, dtype=torch.float64)
    return RunningStatistics(nothing, torch.zeros(N, 3, S * P, dtype=torch.float64), nothing, nothing, nothing)


def read(readings: NDArray[np.float64]) -> RunningStatistics:
    statistics = fresh()
    for start in range(0, readings.shape[1], S):
        statistics, _ = read_segment(statistics, torch.from_numpy(readings[:, start : start + S]), SEASONALITY)
    return statistics


@pytest.fixture
def readings() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(3.0, 1.0, size=(N, 8 * S))


def test_the_last_season_begins_with_the_place_of_the_segment_to_come(readings: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(read(readings).seasons[:, 0], readings[:, -S * P :])


def test_each_place_runs_by_itself(readings: NDArray[np.float64]) -> None:
    place = readings[:, -S * P]  # of the first reading to come, a season ago
    visits = readings[:, 2 * S :: S * P]
    expected = visits[:, 0]
    for n, visit in enumerate(visits.T[1:], start=1):
        expected = expected + max(1 - 0.5, 1 / (n + 1)) * (visit - expected)
    assert visits[:, -1].tolist() == place.tolist()
    np.testing.assert_allclose(read(readings).seasons[:, 1, 0], expected)


@pytest.mark.parametrize("num_segments", [1, 2])
def test_places_that_were_not_seen_get_the_mean_of_all_that_was(
    readings: NDArray[np.float64], num_segments: int
) -> None:
    seen = readings[:, : num_segments * S]
    unseen = read(seen).seasons[:, :, : (P - num_segments) * S]
    assert_close(unseen, torch.from_numpy(seen.mean(axis=1)).view(N, 1, 1).expand_as(unseen))


def test_a_look_at_part_of_a_segment_moves_no_place(readings: NDArray[np.float64]) -> None:
    statistics = read(readings)
    after, _ = peek_segment(
        statistics, torch.full((N, S), 9.0, dtype=torch.float64), torch.tensor([[3], [0]]), SEASONALITY
    )
    assert after.seasons[0, 0, :3].tolist() == [9.0] * 3
    assert torch.equal(after.seasons[0, :, 3:], statistics.seasons[0, :, 3:])
    assert torch.equal(after.seasons[1], statistics.seasons[1])


@pytest.fixture
def model() -> StreamingForecaster:
    torch.manual_seed(0)
    settings = StreamingForecasterSettings(segment=S, season=S * P, max_segments=5, embedding_size=6, hidden_size=7)
    model = StreamingForecaster(settings).eval().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def forecast(model: StreamingForecaster, readings: NDArray[np.float64], center: float, unit: float) -> Tensor:
    static_features = StaticFeatures(
        torch.zeros((N, 1), dtype=torch.int64),
        *(torch.full((N, 1), value, dtype=torch.float64) for value in (center, unit)),
    )
    _, state = model.unroll(torch.from_numpy(readings).view(N, -1, S), model.known_state(static_features))
    pending = torch.zeros(N, S, dtype=torch.float64), torch.zeros(N, dtype=torch.int64)
    return model.forecast(state, *pending, 5)["mean"]


def test_a_known_channel_is_forecast_in_its_typical_scale(
    model: StreamingForecaster, readings: NDArray[np.float64]
) -> None:
    expected = forecast(model, readings, 3.0, 0.8)
    assert_close(forecast(model, 100 * readings - 7, 293.0, 80.0), 100 * expected - 7, rtol=0, atol=1e-3)
    assert not torch.allclose(expected, forecast(model, readings, 3.0, 1.6))
    assert not torch.allclose(expected, forecast(model, readings, 2.0, 0.8))


def test_the_level_of_an_unknown_channel_means_nothing(
    model: StreamingForecaster, readings: NDArray[np.float64]
) -> None:
    assert torch.equal(forecast(model, readings, 3.0, 0.0), forecast(model, readings, -50.0, 0.0))
