"""The interface of all forecasters. Each row of a batch is a channel, and all channels share the weights."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from training.models.streaming import StatefulModule, Tensors
from training.settings import Section

QUANTILE_LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
MIDDLE = len(QUANTILE_LEVELS) // 2
MOST_SEGMENTS = 64  # of a forecast


class ForecasterModelSettings(Section):
    """Settings of all forecasters: how far they look ahead."""

    segment: int = Field(default=24, ge=1, description="readings in one step of the GRU")
    max_segments: int = Field(default=30, ge=1, le=MOST_SEGMENTS, description="segments in the longest horizon")


class StaticFeatures(NamedTuple):
    """Static features: what the model knows of N channels before their first reading.

    Args:
        channel: The channel's number among those the model was trained on, from 1, int64 (N, 1). 0 for any other.
        center: Typical level, float64 (N, 1).
        unit: Typical scale, a mean absolute deviation, float64 (N, 1). 0 if unknown.
    """

    channel: Tensor
    center: Tensor
    unit: Tensor


class Decoded(NamedTuple):
    """Future segments relative to the latest reading, in units of the channel's scale.

    Args:
        mean: float32 (N, P, S).
        quantiles: float32 (N, Pq, S, Q).
    """

    mean: Tensor
    quantiles: Tensor


class Forecaster(StatefulModule, ABC):
    """A `StreamingModel` that can forecast the next readings after any reading.

    Args:
        segment: S, the number of readings in one item of the encoder.
        max_segments: Segments of the longest horizon.
        channels: Names of the channels whose typical level and scale it knows: `centers` and `units`, float64 (C,).
        interval: Time between two readings, for instance "1 hour".
        widening: Factor by which trained bands are widened, fitted to the dev split. Initially ones, in a shape that
            the model chooses.
    """

    look_back: int | None = None  # how many readings it remembers; None for all of them
    centers: Tensor
    units: Tensor
    widening: Tensor

    def __init__(
        self, segment: int, max_segments: int, channels: tuple[str, ...], interval: str, widening: Tensor
    ) -> None:
        super().__init__()
        self.segment, self.max_segments = segment, max_segments
        self.channels, self.interval = channels, interval
        for name in ("centers", "units"):
            self.register_buffer(name, torch.zeros(len(channels), dtype=torch.float64))
        # Bands that fit the training rows are too narrow for unseen readings.
        self.register_buffer("widening", widening)

    def known_state(self, static_features: StaticFeatures) -> Tensors:
        """Return the state of N channels before their first reading, with their static features."""
        known = static_features._asdict()
        return {name: known.get(name, fresh) for name, fresh in self.initial_state(len(static_features.unit)).items()}

    def static_features(self, name: str) -> StaticFeatures:
        """Return the static features of one channel, by its name. Zeros if the model does not know it."""
        at = self.channels.index(name) if name in self.channels else -1
        center, unit = (
            values[at : at + 1] if at >= 0 else values.new_zeros(1) for values in (self.centers, self.units)
        )
        return StaticFeatures(torch.full((1, 1), at + 1, device=unit.device), center.view(1, 1), unit.view(1, 1))

    @abstractmethod
    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by T whole segments, step by step: see `StreamingModel`.

        Args:
            x: Readings in their own units, float64 (N, T, S).
            state: The tensors listed in `self.state`, by name.

        Returns:
            No outputs, and the next state.
        """

    @abstractmethod
    def states(self, x: Tensor, state: Tensors) -> list[Tensors]:
        """Return the T + 1 states: before the first and after each of the segments x, float64 (N, T, S)."""

    @abstractmethod
    def forecast(self, state: Tensors, partial: Tensor, filled: Tensor, segments: int) -> Tensors:
        """Forecast the readings after the latest one, in their own units.

        Args:
            state: State after all whole segments.
            partial: Readings of the unfinished segment, float64 (N, S). Those beyond `filled` are ignored.
            filled: How many of them have arrived, int64 (N,), 0 to S - 1.
            segments: M, the number of segments of S readings to forecast, at most `max_segments`.

        Returns:
            {"mean": float64 (N, M * S), "quantiles": float64 (N, M * S, Q)}.

        Raises:
            ValueError: The horizon is too long.
        """

    def _check_horizon(self, segments: int) -> None:
        if not 1 <= segments <= self.max_segments:
            raise ValueError(f"segments must be 1 to {self.max_segments}, not {segments}")

    def _fan(self, middle: Tensor, below: Tensor, above: Tensor, widening: Tensor) -> Tensor:
        """Return quantiles (..., Q) that never cross: the median, and positive steps down and up from it.

        Args:
            middle: The median, (..., 1).
            below: Steps down before softplus, (..., MIDDLE).
            above: Steps up before softplus, (..., MIDDLE).
            widening: Factor of the steps, of any shape that broadcasts. Ignored in training.
        """
        widening = torch.ones_like(widening) if self.training else widening
        lower = middle - widening * softplus(below).cumsum(dim=-1).flip(-1)
        return torch.cat([lower, middle, middle + widening * softplus(above).cumsum(dim=-1)], dim=-1)
