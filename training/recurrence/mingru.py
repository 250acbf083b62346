"""The minimal gated recurrent unit: gates that do not look at the hidden state, so that all steps train at once."""

import torch
from torch import Tensor, nn

from training.recurrence.initialisation import initialise_gates
from training.recurrence.scan import scan


class MinGRUCell(nn.Module):
    """minGRU of Feng et al. (2024, "Were RNNs All We Needed?", arXiv:2410.01201, section 3.1 and appendix B.2).

        z_t = sigmoid(x_t Wz + bz)
        n_t = g(x_t Wn + bn)                        g(v) = v + 0.5 for v >= 0, sigmoid(v) below
        h_t = (1 - z_t) * h_{t-1} + z_t * n_t

    A GRU without its reset gate, whose update gate and candidate see the input alone. So h_t = a_t h_{t-1} + b_t is
    linear in h, and `scan` has all of its states without a step by step pass. h is positive and has no upper bound;
    the paper chose g so that all numbers are positive: its own scan, which `bench.training` measures, adds up their
    logarithms. z is the share of the new candidate here, as in the paper; in `GRUCell` it is that of the old state.

    Wx (C, 2H) and b (2H) hold z n side by side.

    Args:
        input_size: C.
        hidden_size: H.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.Wx = nn.Parameter(torch.empty(input_size, 2 * hidden_size))
        self.b = nn.Parameter(torch.zeros(2 * hidden_size))
        initialise_gates(self.Wx, hidden_size)

    def project(self, x: Tensor) -> Tensor:
        """x Wx + b, (..., C) to (..., 2H): the input parts of z and n, which are all of them."""
        return torch.addmm(self.b, x.flatten(0, -2), self.Wx).view(*x.shape[:-1], -1)

    def coefficients(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """a = 1 - z and b = z * n of the recurrence, (..., H) each, from (..., 2H)."""
        z, gate_n = torch.split(torch.sigmoid(projected), self.hidden_size, dim=-1)
        v = projected[..., self.hidden_size :]
        # g without a choice: above zero the sigmoid is over 0.5.
        return 1 - z, z * (torch.relu(v) + gate_n.clamp(max=0.5))

    def scan(self, x: Tensor, h_0: Tensor) -> Tensor:
        """The hidden states of all steps at once, (T, N, H), from x (T, N, C) and h_0 (N, H)."""
        return scan(*self.coefficients(self.project(x)), h_0)

    def step_by_step(self, x: Tensor, h_0: Tensor) -> Tensor:
        """The hidden states of `scan` one step at a time, so that their bits do not depend on T."""
        h, states = h_0, []
        for a, b in zip(*(part.unbind() for part in self.coefficients(self.project(x))), strict=True):
            h = a * h + b
            states.append(h)
        return torch.stack(states)
