"""What the forecaster of streams promises beside `test_forecasters`, with random weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.training.models.readings import with_random_weights
from training.models.forecaster import MIDDLE
from training.models.streaming import Tensors
from training.models.streaming_forecaster import StreamingForecaster, StreamingForecasterSettings
from training.recurrence.cells import GRUCell

N, T, M = 2, 3, 4
SEGMENT, MAX_SEGMENTS = 24, 30


@pytest.fixture(params=[SEGMENT, 3 * SEGMENT], ids=["season of a segment", "season of three"])
def model(request: pytest.FixtureRequest) -> StreamingForecaster:
    torch.manual_seed(0)
    settings = StreamingForecasterSettings(segment=SEGMENT, season=request.param, embedding_size=5, hidden_size=7)
    return with_random_weights(StreamingForecaster(settings))


@pytest.fixture
def x() -> Tensor:
    hours = torch.arange(N * T * SEGMENT, dtype=torch.float64).view(N, T, SEGMENT)
    return 3 + (hours * 0.26).sin() + 0.2 * torch.randn(N, T, SEGMENT, dtype=torch.float64)


@pytest.fixture
def pending() -> tuple[Tensor, Tensor]:
    return 3 + torch.randn(N, SEGMENT, dtype=torch.float64), torch.tensor([5, 0])


def read(model: StreamingForecaster, x: Tensor) -> Tensors:
    return model.unroll(x, model.initial_state(len(x)))[1]


def test_the_median_of_a_fresh_model_is_near_its_mean(x: Tensor, pending: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    fresh = StreamingForecaster(StreamingForecasterSettings(embedding_size=5, hidden_size=7)).eval()
    with torch.no_grad():
        forecast = fresh.forecast(read(fresh, x), *pending, M)
    distance = forecast["quantiles"][..., MIDDLE] - forecast["mean"]
    assert float(distance.mean().abs()) < 0.02


def test_the_recurrence_is_that_of_torchs_gru(model: StreamingForecaster, x: Tensor) -> None:
    gru = nn.GRU(5, 7, batch_first=True)
    model.cell = GRUCell.from_torch(gru)
    seen: list[Tensor] = []
    model.embedding.register_forward_hook(lambda _module, _inputs, output: seen.append(torch.relu(output)))
    state = read(model, x)
    assert_close(state["h"], gru(seen[0])[1], rtol=1e-5, atol=1e-6)


def test_a_row_does_not_depend_on_other_rows(
    model: StreamingForecaster, x: Tensor, pending: tuple[Tensor, Tensor]
) -> None:
    together = model.forecast(read(model, x), *pending, M)
    alone = model.forecast(read(model, x[1:]), pending[0][1:], pending[1][1:], M)
    for name, value in alone.items():
        assert_close(together[name][1:], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("junk", [0.0, 1e300, float("nan"), float("inf")])
def test_readings_that_have_not_arrived_are_ignored(
    model: StreamingForecaster, x: Tensor, pending: tuple[Tensor, Tensor], junk: float
) -> None:
    partial, filled = pending
    state = read(model, x)
    expected = model.forecast(state, partial, filled, M)
    spoiled = torch.where(torch.arange(SEGMENT) < filled.unsqueeze(1), partial, junk)
    for name, value in model.forecast(state, spoiled, filled, M).items():
        assert torch.equal(value, expected[name])


def test_readings_that_have_arrived_count(
    model: StreamingForecaster, x: Tensor, pending: tuple[Tensor, Tensor]
) -> None:
    partial, _ = pending
    state = read(model, x)
    five, six = (model.forecast(state, partial, torch.full((N,), filled), M)["mean"] for filled in (5, 6))
    assert not torch.allclose(five[:, 1:], six[:, :-1])


def test_a_pending_forecast_changes_no_state(
    model: StreamingForecaster, x: Tensor, pending: tuple[Tensor, Tensor]
) -> None:
    state = read(model, x)
    before = {name: value.clone() for name, value in state.items()}
    model.forecast(state, *pending, M)
    for name, value in before.items():
        assert torch.equal(state[name], value)


def test_small_changes_on_a_high_level_are_seen(
    model: StreamingForecaster, x: Tensor, pending: tuple[Tensor, Tensor]
) -> None:
    partial, filled = pending
    expected = model.forecast(read(model, x), partial, filled, M)["mean"]
    forecast = model.forecast(read(model, x + 1e9), partial + 1e9, filled, M)["mean"]
    assert_close(forecast - 1e9, expected, rtol=0, atol=1e-3)


def test_later_readings_change_nothing_before_them(model: StreamingForecaster, x: Tensor) -> None:
    hs, history = model.read(x, model.initial_state(N))
    later = x.clone()
    later[:, -1] += 100.0
    changed_hs, changed_history = model.read(later, model.initial_state(N))
    for t in range(T):
        assert torch.equal(hs[t], changed_hs[t])
        assert all(map(torch.equal, history[t], changed_history[t]))
    assert not torch.equal(hs[T], changed_hs[T])


@pytest.mark.parametrize("filled", [1, 2, 23])
def test_a_fresh_session_forecasts_from_its_first_readings(model: StreamingForecaster, filled: int) -> None:
    partial = 1000 + torch.randn(N, SEGMENT, dtype=torch.float64)
    forecast = model.forecast(model.initial_state(N), partial, torch.full((N,), filled), MAX_SEGMENTS)
    for value in forecast.values():
        assert bool(value.isfinite().all())
        assert float((value - 1000).abs().max()) < 100  # random weights: a few units of a deviation near 1


def test_one_reading_alone_is_forecast_to_stay(model: StreamingForecaster) -> None:
    partial = torch.tensor([[4.5] + [0.0] * 23, [-2.0] + [9.0] * 23], dtype=torch.float64)
    mean = model.forecast(model.initial_state(N), partial, torch.ones(N, dtype=torch.int64), M)["mean"]
    assert torch.equal(mean, partial[:, :1].expand(-1, M * SEGMENT))


def test_the_state_stays_bounded_over_thousands_of_readings(model: StreamingForecaster) -> None:
    hours = torch.arange(400 * SEGMENT, dtype=torch.float64).view(1, 400, SEGMENT)
    state = read(model, 50 + 0.001 * hours + (hours / 24 * 6.2832).sin())
    assert float(state["h"].abs().max()) <= 1.0
    assert 0.1 < float(state["scale"]) < 10.0
    assert float(state["seen"]) == 400.0


def test_training_sees_what_serving_computes(
    model: StreamingForecaster, x: Tensor, pending: tuple[Tensor, Tensor]
) -> None:
    partial, filled = pending
    positions = torch.arange(M + 1)
    ends = torch.tensor([[3, 1], [2, 0]])
    decoded, features = model(
        x, partial.unsqueeze(1).expand(-1, 2, -1), filled.unsqueeze(1).expand(-1, 2), ends, positions, positions
    )
    forecast = model.forecast(read(model, x[:1, :1]), partial[:1], filled[:1], M)  # row 0's second origin
    mean = (features.last + features.scale * decoded.mean.flatten(1).double())[1]
    assert_close(mean[5 : 5 + M * SEGMENT], forecast["mean"][0], rtol=1e-6, atol=1e-6)
