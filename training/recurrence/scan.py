"""Linear recurrences over all steps at once: h_t = a_t h_{t-1} + b_t for t = 1 .. T.

A cell whose a and b do not depend on h needs no step by step backpropagation: composing steps is associative,
(a_2, b_2) after (a_1, b_1) being (a_2 a_1, a_2 b_1 + b_2), so that a parallel scan computes all states (Blelloch 1990,
"Prefix sums and their applications"). Tensors are time-major, (T, N, H). This module knows no cells.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def scan(a: Tensor, b: Tensor, h_0: Tensor) -> Tensor:
    """All states of a linear recurrence, by a scan in blocks.

    About sqrt(T) blocks go side by side through their own steps, each from zero. Then the last state of each is carried
    to the next, and into its steps. That is three multiplications for each element instead of the log2(T) of a tree,
    and without the divisions by products of a, or their logarithms, that other scans need: an `a` of zero is exact.

    Args:
        a: What is kept, float (T, N, H).
        b: What is added, (T, N, H).
        h_0: The state before the first step, (N, H).

    Returns:
        The states after each step, (T, N, H).
    """
    states: Tensor = _Scan.apply(a, b, h_0)  # type: ignore[no-untyped-call]
    return states


class _Scan(torch.autograd.Function):
    """With delta_t = dL/dh_t: delta_t = g_t + a_{t+1} delta_{t+1}, which is a scan backwards in time."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h_0: Tensor) -> Tensor:  # noqa: ANN401  # torch's own context
        h = _scan_blocks(a, b, h_0)
        ctx.save_for_backward(a, h, h_0)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
        a, h, h_0 = ctx.saved_tensors
        a_next = torch.cat([a[1:], torch.zeros_like(a[:1])])
        delta = _scan_blocks(a_next.flip(0), gradient.flip(0), torch.zeros_like(h_0)).flip(0)
        h_prev = torch.cat([h_0.unsqueeze(0), h[:-1]])
        return delta * h_prev, delta, delta[0] * a[0]


def _scan_blocks(a: Tensor, b: Tensor, h_0: Tensor) -> Tensor:
    T = len(a)
    steps = math.isqrt(T - 1) + 1  # of a block
    missing = -T % steps
    a, b = a.contiguous(), b.contiguous()
    if missing:
        a = torch.cat([a, a.new_ones(missing, *a.shape[1:])])
        b = torch.cat([b, b.new_zeros(missing, *b.shape[1:])])
    a, b = (part.view(-1, steps, *part.shape[1:]) for part in (a, b))  # (blocks, steps, N, H)
    h, kept = torch.empty_like(b), torch.empty_like(a)
    h[:, 0], kept[:, 0] = b[:, 0], a[:, 0]
    for t in range(1, steps):
        torch.addcmul(b[:, t], a[:, t], h[:, t - 1], out=h[:, t])
        torch.mul(a[:, t], kept[:, t - 1], out=kept[:, t])
    before = h_0
    for block, kept_in_block in zip(h, kept, strict=True):
        block.addcmul_(kept_in_block, before)
        before = block[-1]
    return h.flatten(0, 1)[:T]
