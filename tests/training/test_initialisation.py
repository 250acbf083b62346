import math

import pytest
import torch
from torch import nn

from training.initialisation import initialise_torch
from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.sentiment import SentimentModel, SentimentModelSettings

C, H = 5, 7


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
