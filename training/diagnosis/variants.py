"""The recurrent networks that are compared: three plain ones that start differently, and gated ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

PLAIN_LEARNING_RATE_SCALE = 0.2


@dataclass(frozen=True)
class Variant:
    """A recurrent layer and how it starts.

    Args:
        name: Name in files and tables.
        label: Name in pictures.
        build: Makes torch's fused module, batch first, from (input_size, hidden_size).
        learning_rate_scale: Factor of the learning rate. Plain networks do not converge at 1.
    """

    name: str
    label: str
    build: Callable[[int, int], nn.RNNBase]
    learning_rate_scale: float = 1.0


def tanh(input_size: int, hidden_size: int) -> nn.RNN:
    """The Elman network as torch starts it: uniform between plus and minus 1/sqrt(H).

    Its Whh has a spectral radius of about 1/sqrt(3) = 0.58, by the circular law for entries of variance 1/(3H).
    """
    return nn.RNN(input_size, hidden_size, batch_first=True)


def orthogonal_tanh(input_size: int, hidden_size: int) -> nn.RNN:
    """The Elman network with an orthogonal Whh (Saxe et al. 2014, arXiv:1312.6120), Xavier inputs and zero biases."""
    rnn = nn.RNN(input_size, hidden_size, batch_first=True)
    weights = _zero_biases(rnn)
    nn.init.orthogonal_(weights["weight_hh_l0"])
    nn.init.xavier_uniform_(weights["weight_ih_l0"])
    return rnn


def irnn(input_size: int, hidden_size: int) -> nn.RNN:
    """ReLU, Whh the identity, input weights of deviation 0.001, zero biases (Le et al. 2015, arXiv:1504.00941)."""
    rnn = nn.RNN(input_size, hidden_size, nonlinearity="relu", batch_first=True)
    weights = _zero_biases(rnn)
    nn.init.eye_(weights["weight_hh_l0"])
    nn.init.normal_(weights["weight_ih_l0"], std=0.001)
    return rnn


def lstm(forget_bias: float) -> Callable[[int, int], nn.LSTM]:
    """An LSTM as torch starts it, but with this bias of the forget gate (Jozefowicz et al. 2015, section 3.1)."""

    def build(input_size: int, hidden_size: int) -> nn.LSTM:
        layer = nn.LSTM(input_size, hidden_size, batch_first=True)
        forget = slice(hidden_size, 2 * hidden_size)  # torch's gates are i f g o
        weights = dict(layer.named_parameters())
        with torch.no_grad():
            weights["bias_ih_l0"][forget] = forget_bias
            weights["bias_hh_l0"][forget] = 0.0
        return layer

    return build


def gru(input_size: int, hidden_size: int) -> nn.GRU:
    """A GRU as torch starts it."""
    return nn.GRU(input_size, hidden_size, batch_first=True)


def _zero_biases(rnn: nn.RNN) -> dict[str, nn.Parameter]:
    """Set both biases to zero, and return all weights by name."""
    weights = dict(rnn.named_parameters())
    nn.init.zeros_(weights["bias_ih_l0"])
    nn.init.zeros_(weights["bias_hh_l0"])
    return weights


VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("tanh", "tanh", tanh, PLAIN_LEARNING_RATE_SCALE),
        Variant("orthogonal", "tanh, orthogonal", orthogonal_tanh, PLAIN_LEARNING_RATE_SCALE),
        Variant("irnn", "IRNN (ReLU, identity)", irnn, PLAIN_LEARNING_RATE_SCALE),
        Variant("lstm-0", "LSTM, forget bias 0", lstm(0.0)),
        Variant("lstm-1", "LSTM, forget bias 1", lstm(1.0)),
        Variant("lstm-10", "LSTM, forget bias 10", lstm(10.0)),
        Variant("gru", "GRU", gru),
    )
}
