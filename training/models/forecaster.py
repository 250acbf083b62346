"""What every forecaster promises, whatever it remembers of the past: its rows are channels with the same weights."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from training.models.streaming import StateTensor, Tensors
from training.settings import Section

QUANTILE_LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
MIDDLE = len(QUANTILE_LEVELS) // 2
MOST_SEGMENTS = 64  # that a forecast may have


class ForecasterModelSettings(Section):
    """What the settings of every forecaster say: how far it looks ahead."""

    segment: int = Field(default=24, ge=1, description="readings that are one step of the GRU")
    max_segments: int = Field(default=30, ge=1, le=MOST_SEGMENTS, description="segments of the longest horizon")


class Told(NamedTuple):
    """What is known of N channels before their first reading.

    Args:
        channel: Which of the model's channels each is, from 1; 0 for any other; int64 (N, 1).
        center: Typical level, float64 (N, 1).
        unit: Typical scale, a mean absolute deviation, float64 (N, 1); 0 where it is not known.
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


class Forecaster(nn.Module, ABC):
    """A `StreamingModel` that says, at any reading, what the next ones will be.

    Args:
        segment: S, readings that are one item of the encoder.
        max_segments: Segments of the longest horizon.
        channels: Names of the channels whose typical level and scale it knows: `centers` and `units`, float64 (C,).
        interval: Step of time between two readings, as people say it.
        widening: How many times as wide as trained bands are, fitted after training; 1 at first, in a shape that the
            model chooses.
    """

    state: tuple[StateTensor, ...]
    look_back: int | None = None  # readings that it remembers; None: all of them
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
        # Training rows were learnt from: readings to come are further from their forecasts.
        self.register_buffer("widening", widening)

    def initial_state(self, N: int) -> Tensors:
        """The state of N channels without a reading, of which nothing is known."""
        return {tensor.name: tensor.allocate(N, self.widening.device) for tensor in self.state}

    def known_state(self, told: Told) -> Tensors:
        """The state of N channels without a reading, of which something is known."""
        known = told._asdict()
        return {name: known.get(name, fresh) for name, fresh in self.initial_state(len(told.unit)).items()}

    def told(self, name: str) -> Told:
        """What is known of one channel, by its name."""
        at = self.channels.index(name) if name in self.channels else -1
        center, unit = (
            values[at : at + 1] if at >= 0 else values.new_zeros(1) for values in (self.centers, self.units)
        )
        return Told(torch.full((1, 1), at + 1, device=unit.device), center.view(1, 1), unit.view(1, 1))

    @abstractmethod
    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by T whole segments, step by step: see `StreamingModel`.

        Args:
            x: Readings in their own units, float64 (N, T, S).
            state: As `state` lists it.

        Returns:
            No outputs, and the next state.
        """

    @abstractmethod
    def states(self, x: Tensor, state: Tensors) -> list[Tensors]:
        """The state before the segments x, float64 (N, T, S), and after each of them: T + 1 of them."""

    @abstractmethod
    def forecast(self, state: Tensors, partial: Tensor, filled: Tensor, segments: int) -> Tensors:
        """The readings to come, counted from the latest one, in the readings' own units.

        Args:
            state: After all whole segments.
            partial: Readings of the unfinished segment, float64 (N, S); those beyond `filled` are ignored.
            filled: How many of them have arrived, int64 (N,), 0 to S - 1.
            segments: M, how many times S readings to forecast, at most `max_segments`.

        Returns:
            {"mean": float64 (N, M * S), "quantiles": float64 (N, M * S, Q)}.

        Raises:
            ValueError: The horizon is too long.
        """

    def _check_horizon(self, segments: int) -> None:
        if not 1 <= segments <= self.max_segments:
            raise ValueError(f"segments must be 1 to {self.max_segments}, not {segments}")

    def _fan(self, middle: Tensor, below: Tensor, above: Tensor, widening: Tensor) -> Tensor:
        """Quantiles (..., Q) that never cross: the middle one (..., 1), then outwards by positive steps.

        Args:
            middle: The median.
            below: Of the steps down from it, before softplus, (..., MIDDLE).
            above: Of those up.
            widening: Of the bands, of any shape that fits; none in training.
        """
        widening = torch.ones_like(widening) if self.training else widening
        lower = middle - widening * softplus(below).cumsum(dim=-1).flip(-1)
        return torch.cat([lower, middle, middle + widening * softplus(above).cumsum(dim=-1)], dim=-1)
