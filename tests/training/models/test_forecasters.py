"""What every forecaster promises, with random weights: no trained model is needed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.training.models.readings import forecast, read, static_features_of, with_random_weights
from training.models.forecaster import QUANTILE_LEVELS, Forecaster
from training.models.streaming_forecaster import StreamingForecaster, StreamingForecasterSettings
from training.models.window_forecaster import WindowForecaster, WindowForecasterSettings

N, M, MAX_SEGMENTS = 3, 4, 30
S, LOOK_BACK = 6, 24
CHANNELS = ("flow", "load")


def streaming(season: int) -> Forecaster:
    settings = StreamingForecasterSettings(segment=S, season=season, embedding_size=5, hidden_size=7)
    return StreamingForecaster(settings, CHANNELS)


def window() -> Forecaster:
    return WindowForecaster(WindowForecasterSettings(segment=S, look_back=LOOK_BACK, hidden_size=8), CHANNELS)


KINDS: dict[str, Callable[[], Forecaster]] = {
    "season of a segment": lambda: streaming(S),
    "season of three": lambda: streaming(3 * S),
    "window": window,
}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> Forecaster:
    torch.manual_seed(0)
    return with_random_weights(KINDS[request.param]())


@pytest.fixture
def readings() -> Tensor:
    return 3 + torch.randn(N, 7 * S + 5, dtype=torch.float64)


def test_states_are_as_declared(model: Forecaster, readings: Tensor) -> None:
    state, _, _ = read(model, readings)
    assert list(state) == [tensor.name for tensor in model.state]
    for tensor in model.state:
        assert list(state[tensor.name].shape) == [N if size == "N" else size for size in tensor.shape]
        assert str(state[tensor.name].dtype) == f"torch.{tensor.dtype}"


def test_segments_one_by_one_are_segments_at_once(model: Forecaster, readings: Tensor) -> None:
    state = model.initial_state(N)
    for segment in readings.split(S, dim=1)[:-1]:
        outputs, state = model.unroll(segment.unsqueeze(1), state)
        assert outputs == {}
    for name, value in read(model, readings)[0].items():
        assert_close(state[name], value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 2.5, 1e9])
@pytest.mark.parametrize("shift", [0.0, -40.0])
def test_forecasts_of_unknown_channels_follow_scale_and_level(
    model: Forecaster, readings: Tensor, scale: float, shift: float
) -> None:
    expected = forecast(model, readings)
    for name, value in forecast(model, scale * (readings + shift)).items():
        assert_close(value / scale - shift, expected[name], rtol=0, atol=1e-4)


def test_quantiles_never_cross(model: Forecaster, readings: Tensor) -> None:
    quantiles = forecast(model, readings)["quantiles"]
    assert quantiles.shape == (N, M * S, len(QUANTILE_LEVELS))
    assert bool((quantiles.diff(dim=2) > 0).all())


@pytest.mark.parametrize("segments", [1, 2])
def test_a_longer_horizon_begins_with_the_shorter_one(model: Forecaster, readings: Tensor, segments: int) -> None:
    longest = forecast(model, readings, segments=MAX_SEGMENTS)
    for name, value in forecast(model, readings, segments=segments).items():
        assert_close(longest[name][:, : segments * S], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("segments", [0, MAX_SEGMENTS + 1])
def test_a_horizon_out_of_range_is_refused(model: Forecaster, readings: Tensor, segments: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {MAX_SEGMENTS}, not {segments}"):
        forecast(model, readings, segments=segments)


@pytest.mark.parametrize("level", [0.0, -3.7, 1e9, 1e300])
@pytest.mark.parametrize("filled", [0, 1, S - 1])
def test_a_constant_channel_stays_where_it_is(model: Forecaster, level: float, filled: int) -> None:
    for value in forecast(model, torch.full((N, LOOK_BACK + filled), level, dtype=torch.float64)).values():
        assert_close(value, torch.full_like(value, level), rtol=1e-12, atol=0)


@pytest.mark.parametrize("channel", ["load", "?"])
@pytest.mark.parametrize("start", [S + 2, -2])
def test_a_jump_of_any_size_gives_a_finite_forecast(
    model: Forecaster, readings: Tensor, channel: str, start: int
) -> None:
    readings[:, start:] += 1e12
    found = forecast(model, readings, static_features_of(model, channel, N))
    assert all(bool(value.isfinite().all()) for value in found.values())
