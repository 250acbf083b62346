"""The norm of the loss's gradient by each earlier state: |dL/dh_t| over t.

L is the loss of a problem's answers, which come at the last steps, and dL/dh_t is its derivative along all paths from
h_t on: what training/recurrence/bptt.py calls delta_{t+1} Whh.T, and the term of the answer at t itself. Likewise
dL/dc_t of an LSTM, whose paths lead through h_t too. Everything is float64, which reaches down to 1e-308.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from training.diagnosis.network import Network, unroll
from training.diagnosis.problems import Problem


def gradient_norms(network: Network, problem: Problem, x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
    """Compute the norm of each row's gradient, averaged over the rows.

    Args:
        network: In float64.
        problem: The problem, whose loss is taken over its answers only.
        x: Inputs, float64 (N, T, C), or token ids, int64 (N, T).
        y: Targets of the last steps; see `Problem.draw`.

    Returns:
        "h", and "c" for an LSTM: norms of dL/dh_t and dL/dc_t for t = 1 to T, float64 (T,).
    """
    states = unroll(network.cell(), network.embed(x))[1:]
    answers = problem.answer_steps
    outputs = network.head(torch.stack([state[0] for state in states[-answers:]], dim=1))
    # The mean over N rows holds a row's own loss divided by N.
    loss = problem.loss(outputs, y[:, -answers:]) * len(x)
    names = ("h", "c")[: len(states[0])]
    flat = [part for state in states for part in state]
    gradients = torch.autograd.grad(loss, flat)
    norms = torch.stack([gradient.norm(dim=1).mean() for gradient in gradients])
    return {name: norms[i :: len(names)] for i, name in enumerate(names)}
