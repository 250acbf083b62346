"""Recurrent cells, written out in the field's own letters: one time step each, apart from the loop over time.

`Cell`, `advance` and `cell_of` know the cells that torch has, too, since models train with torch's. A cell of another
kind needs a model that trains it and steps it, such as `training.models.mingru`.

A cell's work on its input needs no state, so it is split in two: `project(x)` is the input part `x Wx + b` for any
leading axes (all T steps in one GEMM), `advance(projected_t, h_prev)` is the recurrent part of one step, and
`step(x_t, h_prev)` is one after the other. Rows are vectors: x_t is (N, C), h is (N, H), so products read `x_t Wxh`.

The numbers are those of torch's own cells, whose weights `from_torch` copies.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal, Self, get_args

import torch
from torch import Tensor, nn

from training.recurrence.torch_weights import TorchWeights, copy_weights

Activation = Literal["tanh", "relu", "sigmoid"]
State = tuple[Tensor, ...]  # (h,), or (h, c) of an LSTM, each (N, H)

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


class VanillaCell(nn.Module):
    """The simple recurrent network of Elman (1990, "Finding structure in time").

        h_t = act(x_t Wxh + h_{t-1} Whh + bh)
        logits_t = h_t Why + by

    Same as torch.nn.RNNCell for act tanh and ReLU, with torch's two biases added up in bh.

    Args:
        input_size: C.
        hidden_size: H.
        activation: act, one of "tanh", "relu", "sigmoid".
        output_size: Number of logits. None for a cell without Why and by.

    Raises:
        ValueError: The activation is unknown.
    """

    def __init__(
        self, input_size: int, hidden_size: int, activation: Activation = "tanh", output_size: int | None = None
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(get_args(Activation))}, not {activation!r}")
        self.activation = activation
        self.hidden_size = hidden_size
        self.Wxh = nn.Parameter(torch.empty(input_size, hidden_size))
        self.Whh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bh = nn.Parameter(torch.empty(hidden_size))
        self.Why: nn.Parameter | None = None
        self.by: nn.Parameter | None = None
        if output_size is not None:
            self.Why = nn.Parameter(torch.empty(hidden_size, output_size))
            self.by = nn.Parameter(torch.empty(output_size))
        _initialise_uniformly(self, hidden_size)

    def project(self, x: Tensor) -> Tensor:
        """x Wxh + bh, (..., C) to (..., H)."""
        return x @ self.Wxh + self.bh

    def advance(self, projected_t: Tensor, h_prev: Tensor) -> Tensor:
        """The next hidden state (N, H) from the projected input (N, H) and the previous state (N, H)."""
        return ACTIVATIONS[self.activation](projected_t + h_prev @ self.Whh)

    def step(self, x_t: Tensor, h_prev: Tensor) -> Tensor:
        """Advance the hidden state by one time step.

        Args:
            x_t: Input at time t, (N, C).
            h_prev: Hidden state at t-1, (N, H). Zeros at the start of a sequence.
        """
        return self.advance(self.project(x_t), h_prev)

    def logits(self, h: Tensor) -> Tensor:
        """h Why + by, (..., H) to (..., output_size).

        Raises:
            ValueError: The cell was made without an output size.
        """
        if self.Why is None or self.by is None:
            raise ValueError("this cell has no output layer; give output_size")
        return h @ self.Why + self.by

    @classmethod
    def from_torch(cls, module: nn.RNN | nn.RNNCell | Self) -> Self:
        """A cell with copies of the weights of torch's own module.

        Args:
            module: A cell, or one layer. A cell of this class is returned as it is.

        Raises:
            ValueError: The module is more than one cell.
        """
        if isinstance(module, cls):
            return module
        weights = TorchWeights(module.state_dict())
        cell = cls(weights.input_size, weights.hidden_size, module.nonlinearity).to(weights.input)  # type: ignore[arg-type]
        cell._copy(weights)
        return cell

    def _copy(self, weights: TorchWeights) -> None:
        copy_weights({self.Wxh: weights.input.T, self.Whh: weights.hidden.T, self.bh: weights.bias})


class GatedCell(nn.Module, ABC):
    """What GRU and LSTM share: their gates side by side in Wx, Wh and b, and copies of torch's weights."""

    hidden_size: int
    Wx: nn.Parameter
    b: nn.Parameter

    def project(self, x: Tensor) -> Tensor:
        """x Wx + b, (..., C) to (..., gates H): the input parts of all gates."""
        return x @ self.Wx + self.b

    @classmethod
    def from_torch(cls, module: nn.RNNBase | nn.RNNCellBase | Self) -> Self:
        """A cell with copies of the weights of torch's own module of its kind.

        Args:
            module: A cell, or one layer. A cell of this class is returned as it is.

        Raises:
            ValueError: The module is of another kind, or more than one cell.
        """
        if isinstance(module, cls):
            return module
        weights = TorchWeights(module.state_dict())
        cell = cls(weights.input_size, weights.hidden_size).to(weights.input)
        cell._copy(weights)
        return cell

    @abstractmethod
    def _copy(self, weights: TorchWeights) -> None:
        """Copy the weights of torch's module of this kind."""


class GRUCell(GatedCell):
    """The gated recurrent unit of Cho et al. (2014, arXiv:1406.1078), in torch's variant.

        r_t = sigmoid(x_t Wxr + h_{t-1} Whr + br)
        z_t = sigmoid(x_t Wxz + h_{t-1} Whz + bz)
        n_t = tanh(x_t Wxn + bxn + r_t * (h_{t-1} Whn + bhn))
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    The reset gate r is applied after the matrix product, as in torch.nn.GRUCell and in cuDNN; the paper (equation 8)
    applies it before, (r_t * h_{t-1}) Whn, and so does the ONNX operator GRU unless `linear_before_reset=1`. ONNX also
    lays the gates out z r n, where torch and this cell have r z n. That z keeps the old state is the paper's
    equation 7; Chung et al. (2014, arXiv:1412.3555) let z take the new one.

    Wx (C, 3H) and Wh (H, 3H) hold r z n side by side; torch's two biases of r and z are added up in `b`.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.Wx = nn.Parameter(torch.empty(input_size, 3 * hidden_size))
        self.Wh = nn.Parameter(torch.empty(hidden_size, 3 * hidden_size))
        self.b = nn.Parameter(torch.empty(3 * hidden_size))  # br, bz, bxn
        self.bhn = nn.Parameter(torch.empty(hidden_size))
        _initialise_uniformly(self, hidden_size)

    def advance(self, projected_t: Tensor, h_prev: Tensor) -> Tensor:
        """The next hidden state (N, H) from the projected input (N, 3H) and the previous state (N, H)."""
        H = self.hidden_size
        input_rz, input_n = torch.split(projected_t, [2 * H, H], dim=-1)
        hidden_rz, hidden_n = torch.split(h_prev @ self.Wh, [2 * H, H], dim=-1)
        r, z = torch.split(torch.sigmoid(input_rz + hidden_rz), H, dim=-1)
        n = torch.tanh(input_n + r * (hidden_n + self.bhn))
        # (1 - z) n + z h_prev with one product less.
        return n + z * (h_prev - n)

    def step(self, x_t: Tensor, h_prev: Tensor) -> Tensor:
        """Advance the hidden state by one time step.

        Args:
            x_t: Input at time t, (N, C).
            h_prev: Hidden state at t-1, (N, H). Zeros at the start of a sequence.
        """
        return self.advance(self.project(x_t), h_prev)

    def _copy(self, weights: TorchWeights) -> None:
        H = self.hidden_size
        b = torch.cat([weights.bias[: 2 * H], weights.input_bias[2 * H :]])
        bhn = weights.hidden_bias[2 * H :]
        copy_weights({self.Wx: weights.input.T, self.Wh: weights.hidden.T, self.b: b, self.bhn: bhn})


class LSTMCell(GatedCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with the forget gate of Gers et al. (2000).

        i_t = sigmoid(x_t Wxi + h_{t-1} Whi + bi)
        f_t = sigmoid(x_t Wxf + h_{t-1} Whf + bf)
        o_t = sigmoid(x_t Wxo + h_{t-1} Who + bo)
        g_t = tanh(x_t Wxg + h_{t-1} Whg + bg)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Same as torch.nn.LSTMCell, with torch's two biases added up in `b`; no peepholes. Wx (C, 4H), Wh (H, 4H) and
    b (4H) hold the gates as i f o g, so that one sigmoid serves three of them; torch lays them out i f g o, the ONNX
    operator LSTM i o f g.

    Args:
        input_size: C.
        hidden_size: H.
        forget_bias: Initial value of bf. 1 lets a fresh cell remember (Jozefowicz et al. 2015, section 3.1).
    """

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.Wx = nn.Parameter(torch.empty(input_size, 4 * hidden_size))
        self.Wh = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size))
        self.b = nn.Parameter(torch.empty(4 * hidden_size))
        _initialise_uniformly(self, hidden_size)
        with torch.no_grad():
            self.b[hidden_size : 2 * hidden_size].fill_(forget_bias)

    def advance(self, projected_t: Tensor, h_prev: Tensor, c_prev: Tensor) -> tuple[Tensor, Tensor]:
        """h_t and c_t, (N, H) each, from the projected input (N, 4H) and the previous h and c (N, H)."""
        H = self.hidden_size
        gates = torch.addmm(projected_t, h_prev, self.Wh)
        ifo, g = torch.split(gates, [3 * H, H], dim=-1)
        i, f, o = torch.split(torch.sigmoid(ifo), H, dim=-1)
        c_t = f * c_prev + i * torch.tanh(g)
        return o * torch.tanh(c_t), c_t

    def step(self, x_t: Tensor, h_prev: Tensor, c_prev: Tensor) -> tuple[Tensor, Tensor]:
        """Advance hidden and cell state by one time step.

        Args:
            x_t: Input at time t, (N, C).
            h_prev: Hidden state at t-1, (N, H). Zeros at the start of a sequence.
            c_prev: Cell state at t-1, (N, H). Zeros at the start of a sequence.
        """
        return self.advance(self.project(x_t), h_prev, c_prev)

    def _copy(self, weights: TorchWeights) -> None:
        Wx, Wh, b = (_swap_g_and_o(torch_gates) for torch_gates in (weights.input, weights.hidden, weights.bias))
        copy_weights({self.Wx: Wx.T, self.Wh: Wh.T, self.b: b})


Cell = VanillaCell | GRUCell | LSTMCell


def cell_of(module: nn.RNNBase) -> Cell:
    """The cell of one layer of torch, with copies of its weights.

    Raises:
        TypeError: No cell here is of its kind.
        ValueError: The module is more than one cell.
    """
    match module:
        case nn.RNN():
            return VanillaCell.from_torch(module)
        case nn.GRU():
            return GRUCell.from_torch(module)
        case nn.LSTM():
            return LSTMCell.from_torch(module)
    raise TypeError(f"no cell for {type(module).__name__}")


def advance(cell: Cell, projected_t: Tensor, state: State) -> State:
    """One step of any cell, from the projected input and the state before it."""
    if isinstance(cell, LSTMCell):
        h, c = state
        return cell.advance(projected_t, h, c)
    (h,) = state
    return (cell.advance(projected_t, h),)


def unroll(cell: Cell, projected: Iterable[Tensor], state: State) -> list[State]:
    """Run a cell over time.

    Args:
        cell: Any of the cells.
        projected: The projected input of each step, (N, gates H).
        state: State before the first step.

    Returns:
        The state after each step.
    """
    states = []
    for projected_t in projected:
        state = advance(cell, projected_t, state)
        states.append(state)
    return states


def _swap_g_and_o(torch_gates: Tensor) -> Tensor:
    i, f, g, o = torch_gates.chunk(4)
    return torch.cat([i, f, o, g])


def _initialise_uniformly(cell: nn.Module, hidden_size: int) -> None:
    # torch's own default for recurrent cells
    bound = 1 / math.sqrt(hidden_size)
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -bound, bound)
