"""Forecasters with random weights, and readings as they are given them: whole segments, then those that fill none."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from training.models.forecaster import Forecaster, StaticFeatures
from training.models.streaming import Tensors

AnyForecaster = TypeVar("AnyForecaster", bound=Forecaster)


def with_random_weights(model: AnyForecaster) -> AnyForecaster:
    """A model to be asked, whose two channels, if it knows any, have levels and scales of their own."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    if model.channels:
        model.centers.copy_(torch.tensor([5.0, -1.0]))
        model.units.copy_(torch.tensor([2.0, 0.5]))
    return model.eval().requires_grad_(False)


def read(
    model: Forecaster, readings: Tensor, static_features: StaticFeatures | None = None
) -> tuple[Tensors, Tensor, Tensor]:
    """The state after all whole segments, and the pending readings; what has not arrived is not a number."""
    S = model.segment
    state = model.initial_state(len(readings)) if static_features is None else model.known_state(static_features)
    whole = readings.shape[1] // S * S
    if whole:
        _, state = model.unroll(readings[:, :whole].reshape(len(readings), -1, S), state)
    partial = torch.full((len(readings), S), torch.nan, dtype=torch.float64)
    partial[:, : readings.shape[1] - whole] = readings[:, whole:]
    return state, partial, torch.full((len(readings),), readings.shape[1] - whole)


def forecast(
    model: Forecaster, readings: Tensor, static_features: StaticFeatures | None = None, segments: int = 4
) -> Tensors:
    """The forecast after some readings, float64 (N, T)."""
    return model.forecast(*read(model, readings, static_features), segments)


def static_features_of(model: Forecaster, name: str, N: int) -> StaticFeatures:
    """The static features of a channel, for N rows."""
    return StaticFeatures(*(part.expand(N, 1) for part in model.static_features(name)))
