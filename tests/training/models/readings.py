"""Readings of a stream, as a forecaster is given them: whole segments, then those that fill none yet."""

import torch
from torch import Tensor

from training.models.forecaster import Forecaster, Told
from training.models.streaming import Tensors


def read(model: Forecaster, readings: Tensor, told: Told | None = None) -> tuple[Tensors, Tensor, Tensor]:
    """The state after all whole segments, and the pending readings; what has not arrived is not a number."""
    S = model.segment
    state = model.initial_state(len(readings)) if told is None else model.known_state(told)
    whole = readings.shape[1] // S * S
    if whole:
        _, state = model.unroll(readings[:, :whole].reshape(len(readings), -1, S), state)
    partial = torch.full((len(readings), S), torch.nan, dtype=torch.float64)
    partial[:, : readings.shape[1] - whole] = readings[:, whole:]
    return state, partial, torch.full((len(readings),), readings.shape[1] - whole)


def forecast(model: Forecaster, readings: Tensor, told: Told | None = None, segments: int = 4) -> Tensors:
    """The forecast after some readings, float64 (N, T)."""
    return model.forecast(*read(model, readings, told), segments)


def told_all(model: Forecaster, name: str, N: int) -> Told:
    """The static features of a channel, for N rows."""
    return Told(*(part.expand(N, 1) for part in model.told(name)))
