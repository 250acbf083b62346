import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.sentiment import SentimentModel, SentimentModelSettings
from training.recurrence.initialisation import initialise_torch

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


@pytest.mark.parametrize(
    ("build", "Wx", "Wh"),
    [
        (
            lambda: GenerationModel(11, GenerationModelSettings(embedding_size=C, hidden_size=H, layers=2)),
            [0.06913, -0.35591, -0.15341, -0.0857],
            [-0.24529, -0.03976, 0.30324, -0.0262],
        ),
        (
            lambda: SentimentModel(11, SentimentModelSettings(embedding_size=C, hidden_size=H, layers=2)),
            [0.36307, -0.00571, 0.06916, -0.08833],
            [-0.50154, -0.50424, 0.51562, 0.23955],
        ),
    ],
    ids=["generation", "sentiment"],
)
def test_a_seed_gives_the_weights_that_it_gave_the_shipped_models(
    build: Callable[[], nn.Module], Wx: list[float], Wh: list[float]
) -> None:
    """Of the second layer, which is drawn after all of the first, by the code that they were trained with."""
    torch.manual_seed(4)
    weights = build().get_submodule("layers.1").state_dict()
    assert weights["weight_ih_l0"][-1, :4].tolist() == pytest.approx(Wx, abs=1e-4)
    assert weights["weight_hh_l0"][-1, :4].tolist() == pytest.approx(Wh, abs=1e-4)
