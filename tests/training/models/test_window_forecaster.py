"""What a forecaster of windows promises beside `test_forecasters`, with random weights."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.testing import assert_close

from tests.training.models.readings import forecast, static_features_of, with_random_weights
from training.models.forecaster import QUANTILE_LEVELS, StaticFeatures
from training.models.window_forecaster import WindowForecaster, WindowForecasterSettings

N, S, L, M = 3, 6, 24, 4
CHANNELS = ("flow", "load")


@pytest.fixture
def model() -> WindowForecaster:
    torch.manual_seed(0)
    settings = WindowForecasterSettings(segment=S, look_back=L, max_segments=M, hidden_size=8)
    return with_random_weights(WindowForecaster(settings, CHANNELS))


@pytest.fixture
def readings() -> Tensor:
    return 3 + torch.randn(N, 7 * S + S, dtype=torch.float64)


def static_features(channel: int, center: float, unit: float) -> StaticFeatures:
    return StaticFeatures(
        torch.full((N, 1), channel),
        torch.full((N, 1), center, dtype=torch.float64),
        torch.full((N, 1), unit, dtype=torch.float64),
    )


def test_the_network_is_the_published_one(model: WindowForecaster, readings: Tensor) -> None:
    """Written with torch's own GRU, position and channel side by side as its input."""
    window = readings[:, :L]
    last, unit = window[:, -1:], model.units[1]
    encoder = nn.GRU(8, 8, batch_first=True).requires_grad_(False)
    cell = model.cell
    encoder.weight_ih_l0.copy_(cell.Wx.T)
    encoder.weight_hh_l0.copy_(cell.Wh.T)
    encoder.bias_ih_l0.copy_(cell.b)
    encoder.bias_hh_l0.zero_()
    encoder.bias_hh_l0[16:] = cell.bhn
    u = ((window - last) / unit).float().view(N, L // S, S)
    _, h = encoder(torch.relu(model.embedding(u)))
    channel = model.channel_embedding.weight[2].expand(N, -1)
    expected = []
    for m in range(M):
        step = torch.cat([model.positions[m].expand(N, -1), channel], dim=1).unsqueeze(1)
        y, _ = encoder(step, h)
        expected.append(last + unit * model.point(y[:, 0]).double())
    found = forecast(model, window, static_features_of(model, "load", N))
    assert_close(found["mean"], torch.cat(expected, dim=1), rtol=1e-5, atol=1e-5)


def test_only_the_window_counts(model: WindowForecaster, readings: Tensor) -> None:
    longer = forecast(model, readings)
    for name, value in forecast(model, readings[:, -L:]).items():
        assert torch.equal(value, longer[name])


@pytest.mark.parametrize("count", [L + 1, L + S - 1])
def test_pending_readings_belong_to_the_window(model: WindowForecaster, readings: Tensor, count: int) -> None:
    pending = forecast(model, readings[:, :count])
    for name, value in forecast(model, readings[:, count - L : count]).items():
        assert torch.equal(value, pending[name])


@pytest.mark.parametrize("count", [1, S - 1, S, 2 * S + 3])
def test_a_window_that_is_not_full_begins_with_the_first_reading(
    model: WindowForecaster, readings: Tensor, count: int
) -> None:
    few = readings[:, :count]
    filled = torch.cat([few[:, :1].expand(-1, L - count), few], dim=1)
    found = forecast(model, few, static_features(1, 0.0, 1.0))
    for name, value in forecast(model, filled, static_features(1, 0.0, 1.0)).items():
        assert torch.equal(value, found[name])


@pytest.mark.parametrize("count", [2, S, L - 1, L, L + 5])
def test_the_unit_of_an_unknown_channel_is_the_deviation_of_what_has_come(
    model: WindowForecaster, readings: Tensor, count: int
) -> None:
    window = readings[:, :L]
    real = window[:, -min(count, L) :]
    found = model.normalise(window, torch.zeros((N, 1), dtype=torch.float64), torch.full((N, 1), count)).scale
    assert_close(found, (real - real.mean(dim=1, keepdim=True)).abs().mean(dim=1, keepdim=True))


def test_bands_of_known_and_unknown_channels_have_widenings_of_their_own(
    model: WindowForecaster, readings: Tensor
) -> None:
    before = [forecast(model, readings, static_features(channel, 0.0, 1.0)) for channel in (1, 0)]
    model.widening[1] *= 3
    after = [forecast(model, readings, static_features(channel, 0.0, 1.0)) for channel in (1, 0)]
    widths = [
        (new["quantiles"][..., -1] - new["mean"]) / (old["quantiles"][..., -1] - old["mean"])
        for new, old in zip(after, before, strict=True)
    ]
    assert_close(widths[0], torch.ones_like(widths[0]))
    assert_close(widths[1], torch.full_like(widths[1], 3.0), rtol=1e-4, atol=0)


def test_the_states_around_segments_are_those_of_unrolling(model: WindowForecaster, readings: Tensor) -> None:
    x = readings.view(N, -1, S)
    states = model.states(x, model.initial_state(N))
    assert len(states) == x.shape[1] + 1
    for t, state in enumerate(states[1:], 1):
        _, at_once = model.unroll(x[:, :t], model.initial_state(N))
        assert all(torch.equal(state[name], value) for name, value in at_once.items())


def test_a_channel_is_known_by_its_name(model: WindowForecaster, readings: Tensor) -> None:
    known, other = (forecast(model, readings, static_features_of(model, name, N)) for name in ("load", "flow"))
    assert not torch.equal(known["mean"], other["mean"])
    assert torch.equal(
        forecast(model, readings, static_features_of(model, "?", N))["mean"], forecast(model, readings)["mean"]
    )


def test_forecasts_of_known_channels_follow_the_level(model: WindowForecaster, readings: Tensor) -> None:
    channel = static_features(1, 5.0, 2.0)
    expected = forecast(model, readings, channel)
    for name, value in forecast(model, readings + 1e6, channel).items():
        assert_close(value - 1e6, expected[name], rtol=0, atol=1e-4)


def test_the_mean_is_the_median(model: WindowForecaster, readings: Tensor) -> None:
    found = forecast(model, readings)
    assert_close(found["quantiles"][..., QUANTILE_LEVELS.index(0.5)], found["mean"])


def test_quantiles_do_not_teach_the_mean(model: WindowForecaster, readings: Tensor) -> None:
    model.requires_grad_()
    decoded, _ = model(readings[:, :L], static_features(1, 0.0, 1.0), torch.arange(M), torch.arange(M))
    decoded.quantiles.sum().backward()
    taught = {name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert taught == {"spread"}


def test_windows_are_whole_segments() -> None:
    with pytest.raises(ValidationError, match="no multiple of a segment of 24"):
        WindowForecasterSettings(look_back=100)
