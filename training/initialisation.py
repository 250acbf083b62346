"""Starting weights of recurrent cells and of torch's fused modules: orthogonal recurrent, Xavier input matrices.

The two differ in one point. A cell's input matrix is drawn gate by gate; torch's, which holds all gates in one tensor,
is drawn as one matrix, with the smaller bound of a larger one. The shipped models are trained so.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from training.cells import GRUCell, LSTMCell, VanillaCell

Cell = VanillaCell | GRUCell | LSTMCell


def initialise(cell: Cell, recurrent_gain: float = 1.0) -> None:
    """Give a cell fresh weights in place.

    Input matrices (C, H) are Xavier-uniform (Glorot and Bengio 2010, equation 16): the variance of what they project
    is that of the input. Recurrent matrices (H, H) are orthogonal (Saxe et al. 2014, arXiv:1312.6120): every singular
    value is `recurrent_gain`, so that over many steps a state neither grows nor fades at first. Each gate is drawn on
    its own, as if it had a matrix of its own. Biases are zero, but the forget gate's stays as the cell was made.

    Args:
        cell: A cell of this project.
        recurrent_gain: Singular values of the recurrent matrices; the square root of 2 suits ReLU.
    """
    for Wx in input_gates(cell):
        nn.init.xavier_uniform_(Wx)
    for Wh in recurrent_gates(cell):
        nn.init.orthogonal_(Wh, gain=recurrent_gain)
    if isinstance(cell, VanillaCell) and cell.Why is not None:
        nn.init.xavier_uniform_(cell.Why)
    with torch.no_grad():
        for bias in _biases(cell):
            bias.zero_()


def initialise_torch(module: nn.RNNBase, forget_bias: float = 1.0) -> None:
    """Give torch's fused module fresh weights in place: every layer, both directions.

    Input matrices (gates H, C) are Xavier-uniform as one matrix, recurrent matrices orthogonal gate by gate, biases
    zero but the forget gate's of an LSTM. Weights are drawn in the order in which the module has them.

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


def input_gates(cell: Cell) -> Iterator[Tensor]:
    """The input matrix of each gate, (C, H): views of the cell's weights."""
    Wx = cell.Wxh if isinstance(cell, VanillaCell) else cell.Wx
    yield from _gates(Wx, _hidden_size(cell))


def recurrent_gates(cell: Cell) -> Iterator[Tensor]:
    """The recurrent matrix of each gate, (H, H): views of the cell's weights."""
    Wh = cell.Whh if isinstance(cell, VanillaCell) else cell.Wh
    yield from _gates(Wh, _hidden_size(cell))


def _gates(weights: nn.Parameter, hidden_size: int) -> Iterator[Tensor]:
    yield from torch.split(weights.detach(), hidden_size, dim=1)


def _hidden_size(cell: Cell) -> int:
    return cell.Whh.shape[0] if isinstance(cell, VanillaCell) else cell.hidden_size


def _biases(cell: Cell) -> Iterator[Tensor]:
    match cell:
        case VanillaCell():
            yield cell.bh
            if cell.by is not None:
                yield cell.by
        case GRUCell():
            yield cell.b
            yield cell.bhn
        case LSTMCell():
            H = cell.hidden_size
            yield cell.b[:H]
            yield cell.b[2 * H :]
