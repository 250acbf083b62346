"""Starting weights of recurrent layers: orthogonal recurrent matrices, Xavier-uniform input matrices.

All singular values of an orthogonal matrix are 1, so that over many steps a state neither grows nor fades at first
(Saxe et al. 2014, arXiv:1312.6120). What a Xavier-uniform one projects has the variance of the input (Glorot and Bengio
2010, equation 16).
"""

import torch
from torch import Tensor, nn


def initialise_torch(module: nn.RNNBase, forget_bias: float = 1.0) -> None:
    """Give torch's fused module fresh weights in place: every layer, both directions.

    Input matrices (gates H, C) are Xavier-uniform as one matrix, with a smaller bound than gate by gate: the shipped
    models are trained so. Recurrent matrices are orthogonal gate by gate, biases zero but the forget gate's of an LSTM.
    Weights are drawn in the order in which the module has them.

    Args:
        module: nn.RNN, nn.GRU or nn.LSTM.
        forget_bias: What both biases of an LSTM's forget gate add up to.
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
    """Xavier-uniform input weights (C, gates H) in place, each gate as if it had a matrix of its own."""
    for gate in torch.split(Wx.detach(), hidden_size, dim=1):
        nn.init.xavier_uniform_(gate)
