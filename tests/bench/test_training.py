import pytest
import torch
from torch import Tensor

from bench.training import log_space_scan, measure, of_like_size, scan_in_log_space
from training.models.generation import GenerationModelSettings
from training.models.mingru import MinGRUModel
from training.recurrence.mingru import MinGRUCell
from training.recurrence.scan import scan

SIZES = GenerationModelSettings(cell="mingru", embedding_size=48, hidden_size=48, layers=2, mlp_size=96)


def test_the_lstm_has_about_as_many_parameters() -> None:
    model = MinGRUModel(65, SIZES)
    lstm = of_like_size(model, SIZES)
    few, many = (sum(weight.numel() for weight in each.parameters()) for each in (model, lstm))
    assert few <= many < 1.3 * few


def test_every_side_has_a_rate_and_its_ratio_to_the_lstms() -> None:
    figures = list(measure(torch.device("cpu"), rows=2, steps=5, sizes=SIZES))
    rates = [figure.value for figure in figures if figure.unit == "steps/s"]
    ratios = [figure.value for figure in figures if figure.unit == "x"]
    assert len(rates) == len(ratios) == 8
    assert ratios == [rate / rates[i // 4 * 4] for i, rate in enumerate(rates)]


def draw(T: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    a, b = torch.rand(2, T, 2, 3, dtype=torch.float64)
    return a, b, torch.rand(2, 3, dtype=torch.float64)


@pytest.mark.parametrize("T", [1, 2, 5, 7, 16, 40])
def test_a_scan_in_log_space_gives_the_states_of_the_scan(T: int) -> None:
    for seed in range(5):
        a, b, h_0 = draw(T, seed)
        torch.testing.assert_close(log_space_scan(a.log(), b.log(), h_0.log()), scan(a, b, h_0))


def test_a_fresh_state_may_be_zero_in_log_space() -> None:
    a, b, h_0 = draw(5, seed=3)
    torch.testing.assert_close(log_space_scan(a.log(), b.log(), h_0.zero_().log()), scan(a, b, h_0))


@torch.no_grad()
def test_a_layer_in_log_space_gives_the_states_of_its_scan() -> None:
    torch.manual_seed(1)
    cell = MinGRUCell(5, 7).double()
    x, h_0 = torch.randn(6, 2, 5).double(), torch.rand(2, 7).double()
    torch.testing.assert_close(scan_in_log_space(cell, x, h_0), cell.scan(x, h_0))
