"""The product of Jacobians ds_T/ds_t of a state s, and its largest singular value, which bounds a gradient's growth.

    ds_T/ds_t = ds_{t+1}/ds_t ... ds_T/ds_{T-1}       rows are derivatives by s_t, columns of s_T
    |dL/ds_t| <= sigma_max(ds_T/ds_t) |dL/ds_T|       for a loss that looks at s_T only

(Pascanu et al. 2013, arXiv:1211.5063, equations 5 to 7, where these matrices are transposed: a singular value is the
same.) The state s is h, and h and c side by side for an LSTM, each varied alone.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from training.diagnosis.network import unroll
from training.recurrence.cells import Cell, LSTMCell, State, advance

CHUNK = 32  # steps whose Jacobians are made at once, to bound memory


@torch.no_grad()
def step_jacobians(cell: Cell, inputs: Tensor) -> Tensor:
    """Compute ds_t/ds_{t-1} for t = 1 to T along the path of one sequence.

    Args:
        cell: In float64.
        inputs: Inputs of the recurrent layer, float64 (T, C).

    Returns:
        (T, S, S). Element [t, p, q] is the derivative of s_t[q] by s_{t-1}[p].
    """
    projected = cell.project(inputs)
    states = torch.stack([torch.cat(state, dim=1)[0] for state in unroll(cell, inputs.unsqueeze(0))[:-1]])  # (T, S)

    def step(state: Tensor, projected_t: Tensor) -> Tensor:
        return torch.cat(advance(cell, projected_t.unsqueeze(0), _split(cell, state.unsqueeze(0))), dim=1)[0]

    derivatives = vmap(jacrev(step))
    pieces = zip(torch.split(states, CHUNK), torch.split(projected, CHUNK), strict=True)
    return torch.cat([derivatives(*piece).transpose(1, 2) for piece in pieces])


def largest_singular_values(jacobians: Tensor, lags: Sequence[int]) -> list[float]:
    """Compute log10 of the largest singular value of ds_T/ds_{T-k} for each lag k.

    The product is rescaled after each factor, so it neither overflows nor vanishes over any number of steps.

    Args:
        jacobians: As `step_jacobians` returns them, (T, S, S).
        lags: Increasing, from 0 to T.

    Returns:
        One number for each lag. Minus infinity if the product is exactly 0, which ReLU can make it.

    Raises:
        ValueError: Lags do not increase, or are out of range.
    """
    T, S, _ = jacobians.shape
    if any(not 0 <= lag <= T for lag in lags) or list(lags) != sorted(lags):
        raise ValueError(f"lags must grow from 0 to at most {T}, not {list(lags)}")
    product, log_scale, found = torch.eye(S, dtype=jacobians.dtype), 0.0, {0: 0.0}
    for lag in range(1, max(lags, default=0) + 1):
        product = jacobians[T - lag] @ product
        largest = float(product.abs().max())
        if largest == 0.0:
            return [found.get(lag, -math.inf) for lag in lags]
        product, log_scale = product / largest, log_scale + math.log10(largest)
        if lag in lags:
            found[lag] = log_scale + math.log10(float(torch.linalg.matrix_norm(product, 2)))
    return [found[lag] for lag in lags]


def _split(cell: Cell, state: Tensor) -> State:
    return tuple(state.chunk(2, dim=1)) if isinstance(cell, LSTMCell) else (state,)
