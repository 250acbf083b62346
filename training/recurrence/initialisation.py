"""Initialisation of recurrent layers: orthogonal recurrent matrices, Xavier-uniform input matrices.

All singular values of an orthogonal matrix are 1, so that over many steps a state neither grows nor fades at first
(Saxe et al. 2014, arXiv:1312.6120). The product with a Xavier-uniform matrix keeps the variance of the input (Glorot
and Bengio 2010, equation 16).
"""

import torch
from torch import Tensor, nn


def initialise_torch(module: nn.RNNBase, forget_bias: float = 1.0) -> None:
    """Initialise torch's fused module in place, all layers and directions.

    Input matrices (gates H, C) are Xavier-uniform as one matrix, with a smaller bound than gate by gate, as the shipped
    models were trained. Recurrent matrices are orthogonal gate by gate. Biases are 0, but for the forget gate of an
    LSTM. Weights are drawn in the order of the module's parameters.

    Args:
        module: nn.RNN, nn.GRU or nn.LSTM.
        forget_bias: Sum of both biases of an LSTM's forget gate.
    """
    H = module.hidden_size
    for name, weight in module.named_parameters():
        match name.partition("_l")[0]:
            case "weight_ih" | "weight_hr":
                nn.init.xavier_uniform_(weight)
            case "weight_hh":
                for Wh in torch.split(weight.detach(), H):
                    nn.init.orthogonal_(Wh)
            case _:
                nn.init.zeros_(weight)
                if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
                    nn.init.constant_(weight.detach()[H : 2 * H], forget_bias)


def initialise_gates(Wx: Tensor, hidden_size: int) -> None:
    """Initialise input weights (C, gates H) in place, Xavier-uniform gate by gate."""
    for gate in torch.split(Wx.detach(), hidden_size, dim=1):
        nn.init.xavier_uniform_(gate)
