import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from training.cells import GRUCell, LSTMCell, VanillaCell
from training.initialisation import Cell, initialise, initialise_torch, input_gates, recurrent_gates
from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.sentiment import SentimentModel, SentimentModelSettings

C, H = 5, 7
cells = pytest.mark.parametrize(
    ("make", "gates"), [(VanillaCell, 1), (GRUCell, 3), (LSTMCell, 4)], ids=["vanilla", "gru", "lstm"]
)
Make = Callable[[int, int], Cell]


@cells
def test_each_gates_recurrent_matrix_is_orthogonal(make: Make, gates: int) -> None:
    cell = make(C, H)
    initialise(cell)
    matrices = list(recurrent_gates(cell))
    assert len(matrices) == gates
    for Wh in matrices:
        torch.testing.assert_close(Wh @ Wh.T, torch.eye(H))


@cells
def test_gates_are_drawn_apart(make: Make, gates: int) -> None:
    cell = make(C, H)
    initialise(cell)
    drawn = {tuple(Wh.flatten().tolist()) for Wh in recurrent_gates(cell)}
    assert len(drawn) == gates


@cells
def test_input_matrices_have_xaviers_bound_for_one_gate(make: Make, gates: int) -> None:
    cell = make(50, 70)
    initialise(cell)
    matrices = list(input_gates(cell))
    assert len(matrices) == gates
    bound = math.sqrt(6 / (50 + 70))
    for Wx in matrices:
        assert 0.95 * bound < Wx.abs().max() <= bound


def test_the_recurrent_gain_is_every_singular_value() -> None:
    cell = VanillaCell(C, H, activation="relu")
    initialise(cell, recurrent_gain=math.sqrt(2))
    singular_values = torch.linalg.svdvals(cell.Whh)
    torch.testing.assert_close(singular_values, torch.full((H,), math.sqrt(2)))


def test_biases_are_zero_but_for_the_forget_gate() -> None:
    cell = LSTMCell(C, H, forget_bias=2.5)
    initialise(cell)
    assert cell.b.tolist() == [0.0] * H + [2.5] * H + [0.0] * 2 * H
    gru = GRUCell(C, H)
    initialise(gru)
    assert not gru.b.any()
    assert not gru.bhn.any()


def test_an_output_layer_is_initialised_too() -> None:
    cell = VanillaCell(C, H, output_size=3)
    before = cell.Why
    assert before is not None
    values = before.detach().clone()
    initialise(cell)
    assert not torch.equal(before, values)
    assert before.abs().max() <= math.sqrt(6 / (H + 3))
    assert cell.by is not None
    assert not cell.by.any()


def test_equal_seeds_give_equal_weights() -> None:
    first, second = LSTMCell(C, H), LSTMCell(C, H)
    for cell in (first, second):
        torch.manual_seed(4)
        initialise(cell)
    for name, weight in first.named_parameters():
        assert torch.equal(weight, second.get_parameter(name))


def test_a_fused_module_is_initialised_in_every_layer_and_direction() -> None:
    lstm = nn.LSTM(C, H, num_layers=2, bidirectional=True)
    initialise_torch(lstm, forget_bias=2.5)
    weights = dict(lstm.named_parameters())
    for place in ("l0", "l0_reverse", "l1", "l1_reverse"):
        gates = weights[f"weight_hh_{place}"].split(H)
        assert len({tuple(Wh.flatten().tolist()) for Wh in gates}) == 4
        for Wh in gates:
            torch.testing.assert_close(Wh @ Wh.T, torch.eye(H))
        bias = weights[f"bias_ih_{place}"] + weights[f"bias_hh_{place}"]
        assert bias.tolist() == [0.0] * H + [2.5] * H + [0.0] * 2 * H
        Wx = weights[f"weight_ih_{place}"]
        assert Wx.abs().max() <= math.sqrt(6 / sum(Wx.shape))


@pytest.mark.parametrize("fused", [nn.RNN(C, H), nn.GRU(C, H)], ids=["rnn", "gru"])
def test_fused_modules_without_a_forget_gate_start_with_no_bias(fused: nn.RNNBase) -> None:
    initialise_torch(fused)
    assert not any(weight.any() for name, weight in fused.named_parameters() if name.startswith("bias"))


def drawn_as_the_shipped_models_were(module: nn.LSTM | nn.GRU) -> list[torch.Tensor]:
    """What the shipped models did to each layer, before one place served all."""
    Wx, Wh = torch.empty_like(module.weight_ih_l0), torch.empty_like(module.weight_hh_l0)
    nn.init.xavier_uniform_(Wx)
    for gate in Wh.split(module.hidden_size):
        nn.init.orthogonal_(gate)
    return [Wx, Wh]


@pytest.mark.parametrize("task", ["generation", "sentiment"])
def test_a_seed_gives_the_weights_that_it_gave_the_shipped_models(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layers: list[nn.LSTM | nn.GRU] = []
    module, model, settings = (
        ("training.models.generation.initialise_torch", GenerationModel, GenerationModelSettings)
        if task == "generation"
        else ("training.models.sentiment.initialise_torch", SentimentModel, SentimentModelSettings)
    )
    sizes = settings(embedding_size=C, hidden_size=H, layers=2)
    monkeypatch.setattr(module, lambda layer, *_: layers.append(layer))
    torch.manual_seed(4)
    model(11, sizes)
    expected = [drawn_as_the_shipped_models_were(layer) for layer in layers]
    monkeypatch.undo()
    torch.manual_seed(4)
    found = model(11, sizes).layers
    for layer, weights in zip(found, expected, strict=True):
        assert all(map(torch.equal, (layer.weight_ih_l0, layer.weight_hh_l0), weights))
