import torch

from bench.training import measure, of_like_size
from training.models.generation import GenerationModelSettings
from training.models.mingru import MinGRUModel

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
