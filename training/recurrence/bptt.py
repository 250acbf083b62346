"""Backpropagation through time, written by hand for the vanilla cell: what autograd does, readable.

With a_t = x_t Wxh + h_{t-1} Whh + bh, h_t = act(a_t), logits_t = h_t Why + by and the loss L = sum_t L_t(logits_t)
(Werbos 1990, "Backpropagation through time: what it does and how to do it"; Pascanu et al. 2013, arXiv:1211.5063,
equations 3 to 5), rows being vectors, X.T the transpose of X and act' the derivative of act:

    dL/dWhy  = sum_t h_t.T dL/dlogits_t
    dL/dby   = sum_t dL/dlogits_t
    dL/dWhh  = sum_t sum_{k<=t} h_{k-1}.T [dL_t/dh_t (dh_t/dh_{t-1} ... dh_{k+1}/dh_k) * act'(a_k)]
    dL/dWxh  = sum_t sum_{k<=t}   x_k.T   [the same]
    dL/dbh   = sum_t sum_{k<=t}          [the same]
    dL_t/dh_t = dL/dlogits_t Why.T
    dh_j/dh_{j-1}: a row vector v times it is (v * act'(a_j)) Whh.T

The product of Jacobians is what makes gradients vanish or explode. All k of all t share its factors, so that the double
sum needs one pass backwards:

    delta_t = (dL_t/dh_t + delta_{t+1} Whh.T) * act'(a_t),  delta_{T+1} = 0
    dL/dWhh = sum_t h_{t-1}.T delta_t,  dL/dWxh = sum_t x_t.T delta_t,  dL/dbh = sum_t delta_t

Truncated, the sequence is cut into chunks of `bptt_len` steps and the sum over k goes back to the first step of the
chunk of t only: delta_{t+1} counts as zero where t+1 begins a chunk. The states themselves are carried on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.recurrence import cells
from training.recurrence.cells import VanillaCell


@dataclass(frozen=True)
class Unrolled:
    """The result of a forward pass, which the backward pass needs.

    Args:
        x: Inputs, (N, T, C).
        h: Hidden states, (N, T + 1, H). h[:, 0] is the initial one, and h[:, t] follows x[:, t - 1].
        logits: (N, T, V).
    """

    x: Tensor
    h: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Gradients:
    """dL/d of each weight, in the weight's shape, and of the initial state, (N, H)."""

    Wxh: Tensor
    Whh: Tensor
    bh: Tensor
    Why: Tensor
    by: Tensor
    h_0: Tensor


@torch.no_grad()
def unroll(cell: VanillaCell, x: Tensor, h_0: Tensor) -> Unrolled:
    """Run a cell with an output layer over all steps of x (N, T, C) from h_0 (N, H)."""
    states = cells.unroll(cell, cell.project(x).unbind(dim=1), (h_0,))
    h = torch.stack([h_0, *(h for (h,) in states)], dim=1)
    return Unrolled(x=x, h=h, logits=cell.logits(h[:, 1:]))


@torch.no_grad()
def backpropagate(
    cell: VanillaCell, unrolled: Unrolled, logits_gradient: Tensor, bptt_len: int | None = None
) -> Gradients:
    """Gradients of all weights by backpropagation through time.

    Args:
        cell: The cell that was unrolled, with an output layer.
        unrolled: What `unroll` returned.
        logits_gradient: dL/dlogits, (N, T, V). For cross entropy it is softmax(logits) - one-hot(target).
        bptt_len: Steps of a chunk, beyond whose first no gradient flows back. None backpropagates to the first step.

    Raises:
        ValueError: The cell has no output layer, or `bptt_len` is below 1.
    """
    if cell.Why is None:
        raise ValueError("backpropagation needs a cell with an output layer; give output_size")
    if bptt_len is not None and bptt_len < 1:
        raise ValueError(f"bptt_len must be at least 1, not {bptt_len}")
    h_gradient = logits_gradient @ cell.Why.T  # dL_t/dh_t, (N, T, H)
    delta, h_0 = _deltas(cell, unrolled.h, h_gradient, bptt_len)
    h = unrolled.h[:, 1:]
    return Gradients(
        Wxh=_outer_sum(unrolled.x, delta),
        Whh=_outer_sum(unrolled.h[:, :-1], delta),
        bh=delta.sum(dim=(0, 1)),
        Why=_outer_sum(h, logits_gradient),
        by=logits_gradient.sum(dim=(0, 1)),
        h_0=h_0,
    )


@torch.no_grad()
def state_jacobian(cell: VanillaCell, h: Tensor, k: int, t: int) -> Tensor:
    """dh_t/dh_k, the product of dh_j/dh_{j-1} for j from k + 1 to t.

    Args:
        cell: The cell that was unrolled.
        h: Its states, (N, T + 1, H), as in `Unrolled`.
        k: The earlier step. 0 is the initial state.
        t: The later step, k <= t <= T.

    Returns:
        (N, H, H). Element [n, p, q] is the derivative of h_t[n, q] by h_k[n, p].
    """
    H = h.shape[-1]
    product = torch.eye(H, dtype=h.dtype, device=h.device).expand(len(h), H, H)
    for j in range(k + 1, t + 1):
        product = (product @ cell.Whh) * activation_slope(cell, h[:, j]).unsqueeze(1)
    return product


def activation_slope(cell: VanillaCell, h: Tensor) -> Tensor:
    """act'(a) by h = act(a): 1 - h^2 for tanh, h (1 - h) for sigmoid, 1 where h > 0 for ReLU."""
    match cell.activation:
        case "tanh":
            return 1 - h * h
        case "sigmoid":
            return h * (1 - h)
        case "relu":
            return (h > 0).to(h.dtype)


def _deltas(cell: VanillaCell, h: Tensor, h_gradient: Tensor, bptt_len: int | None) -> tuple[Tensor, Tensor]:
    """Compute delta of every step, (N, T, H), and dL/dh_0, (N, H)."""
    N, T, H = h_gradient.shape
    deltas = []
    arriving = h_gradient.new_zeros(N, H)  # delta_{t+1} Whh.T
    for t in range(T, 0, -1):
        delta = (h_gradient[:, t - 1] + arriving) * activation_slope(cell, h[:, t])
        deltas.append(delta)
        begins_chunk = bptt_len is not None and t > 1 and (t - 1) % bptt_len == 0
        arriving = torch.zeros_like(delta) if begins_chunk else delta @ cell.Whh.T
    return torch.stack(deltas[::-1], dim=1), arriving


def _outer_sum(left: Tensor, right: Tensor) -> Tensor:
    """Sum over rows and steps of left.T right: (N, T, A) and (N, T, B) to (A, B)."""
    return left.flatten(0, 1).T @ right.flatten(0, 1)
