"""What a forecaster of windows promises, with random weights."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.testing import assert_close

from training.models.forecaster import QUANTILE_LEVELS, Told
from training.models.streaming import Tensors
from training.models.window_forecaster import WindowForecaster, WindowForecasterSettings

N, S, L, M = 3, 6, 24, 4
CHANNELS = ("flow", "load")


@pytest.fixture
def model() -> WindowForecaster:
    torch.manual_seed(0)
    settings = WindowForecasterSettings(segment=S, look_back=L, max_segments=M, hidden_size=8)
    model = WindowForecaster(settings, CHANNELS).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.centers.copy_(torch.tensor([5.0, -1.0]))
    model.units.copy_(torch.tensor([2.0, 0.5]))
    return model.requires_grad_(False)


@pytest.fixture
def readings() -> Tensor:
    return 3 + torch.randn(N, 7 * S + S, dtype=torch.float64)


def read(model: WindowForecaster, readings: Tensor, told: Told | None = None) -> tuple[Tensors, Tensor, Tensor]:
    """The state after all whole segments, and the pending readings; what has not arrived is not a number."""
    state = model.initial_state(len(readings)) if told is None else model.known_state(told)
    whole = readings.shape[1] // S * S
    if whole:
        _, state = model.unroll(readings[:, :whole].reshape(len(readings), -1, S), state)
    partial = torch.full((len(readings), S), torch.nan, dtype=torch.float64)
    partial[:, : readings.shape[1] - whole] = readings[:, whole:]
    return state, partial, torch.full((len(readings),), readings.shape[1] - whole)


def forecast(model: WindowForecaster, readings: Tensor, told: Told | None = None, segments: int = M) -> Tensors:
    return model.forecast(*read(model, readings, told), segments)


def told(channel: int, center: float, unit: float) -> Told:
    return Told(
        torch.full((N, 1), channel),
        torch.full((N, 1), center, dtype=torch.float64),
        torch.full((N, 1), unit, dtype=torch.float64),
    )


def test_states_are_as_declared(model: WindowForecaster, readings: Tensor) -> None:
    state, _, _ = read(model, readings)
    assert list(state) == [tensor.name for tensor in model.state]
    for tensor in model.state:
        assert list(state[tensor.name].shape) == [N if size == "N" else size for size in tensor.shape]
        assert str(state[tensor.name].dtype) == f"torch.{tensor.dtype}"


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
    found = forecast(model, window, model_told(model, "load"))
    assert_close(found["mean"], torch.cat(expected, dim=1), rtol=1e-5, atol=1e-5)


def model_told(model: WindowForecaster, name: str) -> Told:
    one = model.told(name)
    return Told(*(part.expand(N, 1) for part in one))


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
    found = forecast(model, few, told(1, 0.0, 1.0))
    for name, value in forecast(model, filled, told(1, 0.0, 1.0)).items():
        assert torch.equal(value, found[name])


@pytest.mark.parametrize("count", [2, S, L - 1, L, L + 5])
def test_the_unit_of_an_unknown_channel_is_the_deviation_of_what_has_come(
    model: WindowForecaster, readings: Tensor, count: int
) -> None:
    window = readings[:, :L]
    real = window[:, -min(count, L) :]
    found = model.look(window, torch.zeros((N, 1), dtype=torch.float64), torch.full((N, 1), count)).scale
    assert_close(found, (real - real.mean(dim=1, keepdim=True)).abs().mean(dim=1, keepdim=True))


def test_bands_of_known_and_unknown_channels_have_widenings_of_their_own(
    model: WindowForecaster, readings: Tensor
) -> None:
    before = [forecast(model, readings, told(channel, 0.0, 1.0)) for channel in (1, 0)]
    model.widening[1] *= 3
    after = [forecast(model, readings, told(channel, 0.0, 1.0)) for channel in (1, 0)]
    widths = [
        (new["quantiles"][..., -1] - new["mean"]) / (old["quantiles"][..., -1] - old["mean"])
        for new, old in zip(after, before, strict=True)
    ]
    assert_close(widths[0], torch.ones_like(widths[0]))
    assert_close(widths[1], torch.full_like(widths[1], 3.0), rtol=1e-4, atol=0)


def test_segments_one_by_one_are_segments_at_once(model: WindowForecaster, readings: Tensor) -> None:
    x = readings.view(N, -1, S)
    states = model.states(x, model.initial_state(N))
    assert len(states) == x.shape[1] + 1
    for t, state in enumerate(states[1:], 1):
        _, at_once = model.unroll(x[:, :t], model.initial_state(N))
        assert all(torch.equal(state[name], value) for name, value in at_once.items())


def test_a_channel_is_known_by_its_name(model: WindowForecaster, readings: Tensor) -> None:
    known, other = (forecast(model, readings, model_told(model, name)) for name in ("load", "flow"))
    assert not torch.equal(known["mean"], other["mean"])
    assert torch.equal(forecast(model, readings, model_told(model, "?"))["mean"], forecast(model, readings)["mean"])


@pytest.mark.parametrize("scale", [1e-6, 2.5, 1e9])
def test_forecasts_of_unknown_channels_follow_scale_and_level(
    model: WindowForecaster, readings: Tensor, scale: float
) -> None:
    expected = forecast(model, readings)
    for name, value in forecast(model, scale * (readings - 40.0)).items():
        assert_close(value / scale + 40.0, expected[name], rtol=0, atol=1e-4)


def test_forecasts_of_known_channels_follow_the_level(model: WindowForecaster, readings: Tensor) -> None:
    channel = told(1, 5.0, 2.0)
    expected = forecast(model, readings, channel)
    for name, value in forecast(model, readings + 1e6, channel).items():
        assert_close(value - 1e6, expected[name], rtol=0, atol=1e-4)


def test_quantiles_never_cross_and_the_mean_is_their_median(model: WindowForecaster, readings: Tensor) -> None:
    found = forecast(model, readings)
    assert found["quantiles"].shape == (N, M * S, len(QUANTILE_LEVELS))
    assert bool((found["quantiles"].diff(dim=2) > 0).all())
    assert_close(found["quantiles"][..., QUANTILE_LEVELS.index(0.5)], found["mean"])


def test_a_longer_horizon_begins_with_the_shorter_one(model: WindowForecaster, readings: Tensor) -> None:
    longest = forecast(model, readings)
    for name, value in forecast(model, readings, segments=1).items():
        assert_close(longest[name][:, :S], value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("segments", [0, M + 1])
def test_a_horizon_out_of_range_is_refused(model: WindowForecaster, readings: Tensor, segments: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {M}, not {segments}"):
        forecast(model, readings, segments=segments)


@pytest.mark.parametrize("level", [0.0, -3.7, 1e9, 1e300])
def test_a_constant_channel_stays_where_it_is(model: WindowForecaster, level: float) -> None:
    for value in forecast(model, torch.full((N, L + 1), level, dtype=torch.float64)).values():
        assert_close(value, torch.full_like(value, level), rtol=1e-12, atol=0)


def test_a_jump_of_any_size_gives_a_finite_forecast(model: WindowForecaster, readings: Tensor) -> None:
    readings[:, -2:] += 1e12
    assert all(bool(value.isfinite().all()) for value in forecast(model, readings, told(1, 0.0, 1.0)).values())


def test_quantiles_do_not_teach_the_mean(model: WindowForecaster, readings: Tensor) -> None:
    model.requires_grad_()
    decoded, _ = model(readings[:, :L], told(1, 0.0, 1.0), torch.arange(M), torch.arange(M))
    decoded.quantiles.sum().backward()
    taught = {name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert taught == {"spread"}


def test_windows_are_whole_segments() -> None:
    with pytest.raises(ValidationError, match="no multiple of a segment of 24"):
        WindowForecasterSettings(look_back=100)
