"""A forecaster over a window: the last readings in, forecasts with quantiles out. One GRU over segments.

SegRNN (Lin et al. 2023, arXiv:2308.11200). It remembers a window of the last L readings, so a session forecasts the
same as a fresh one that has read only these. With segment_i the S readings of the window's i-th part, `last` its latest
reading, and `unit` the channel's scale:

    u_i    = (segment_i - last) / unit                      the same at any level and scale
    h_i    = GRU(relu(u_i We + be), h_{i-1})                i = 1 .. L / S, h_0 = 0
    y_m    = GRU([position_m, channel], h_{L/S})            m = 1 .. M: each future segment is one step, all in parallel
    mean_m = last + unit (y_m W + b)                        the median too
    above_mj = mean_m + unit widening_m sum_{i <= j} softplus(y_m A_i)      j = 1 .. 9 quantiles above the median
    below_mj = mean_m - unit widening_m sum_{i <= j} softplus(y_m B_i)      as many below it: they never cross

Differences from the paper: inputs are divided by a unit and clipped. All channels that it was not trained on share one
embedding, and have their window's mean absolute deviation as unit. A window that is not full yet begins with copies of
the first reading. Quantiles are forecast as well; their gradients do not reach y.
"""

from typing import NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.models.forecaster import (
    MIDDLE,
    QUANTILE_LEVELS,
    Decoded,
    Forecaster,
    ForecasterModelSettings,
    StaticFeatures,
)
from training.models.running_statistics import LARGEST_FEATURE, as_input, row_sum
from training.models.streaming import StateTensor, Tensors
from training.recurrence.cells import GRUCell


class WindowForecasterSettings(ForecasterModelSettings):
    """Sizes and regularisation."""

    look_back: int = Field(default=96, ge=1, description="readings that a forecast is made from, in whole segments")
    hidden_size: int = Field(default=256, ge=2, multiple_of=2)
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the heads")

    @model_validator(mode="after")
    def _whole_segments(self) -> Self:
        if self.look_back % self.segment:
            raise ValueError(f"a window of {self.look_back} readings is no multiple of a segment of {self.segment}")
        return self


class Window(NamedTuple):
    """The last readings, normalised for the network.

    Args:
        last: The latest reading, float64 (N, 1). Forecasts are relative to it.
        scale: Unit of the forecasts, float64 (N, 1). 0 if all readings of an unknown channel are equal.
        segments: Relative to the latest reading, float32 (N, L / S, S).
    """

    last: Tensor
    scale: Tensor
    segments: Tensor


class WindowForecaster(Forecaster):
    """A forecaster that sees only the last L readings.

    Args:
        settings: Sizes.
        channels: See `Forecaster`. Each has an embedding.
        interval: See `Forecaster`.
    """

    look_back: int

    def __init__(self, settings: WindowForecasterSettings, channels: tuple[str, ...] = (), interval: str = "") -> None:
        widening = torch.ones(2, settings.max_segments)  # of each segment ahead, of known channels and of others
        super().__init__(settings.segment, settings.max_segments, channels, interval, widening)
        self.look_back = settings.look_back
        H, S, half = settings.hidden_size, settings.segment, settings.hidden_size // 2
        self.embedding = nn.Linear(S, H)
        self.cell = GRUCell(H, H)
        self.positions = nn.Parameter(torch.randn(self.max_segments, half))
        self.channel_embedding = nn.Embedding(1 + len(channels), half)
        self.dropout = nn.Dropout(settings.dropout)
        self.point = nn.Linear(H, S)
        self.spread = nn.Linear(H, S * (len(QUANTILE_LEVELS) - 1))
        with torch.no_grad():
            self.spread.weight.mul_(0.3)
            self.spread.bias.fill_(-2.0)  # narrow
        self.state = (
            StateTensor("window", "float64", ("N", self.look_back)),
            StateTensor("seen", "float64", ("N", 1)),  # segments
            StateTensor("channel", "int64", ("N", 1)),
            StateTensor("unit", "float64", ("N", 1)),
        )

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """See `Forecaster`."""
        readings = torch.cat([_window(state, x[:, 0, :1]), x.flatten(1)], dim=1)
        read = {"window": readings[:, -self.look_back :], "seen": state["seen"] + x.shape[1]}
        return {}, state | read

    def states(self, x: Tensor, state: Tensors) -> list[Tensors]:
        """See `Forecaster`."""
        found = [state]
        for segment in torch.split(x, 1, dim=1):
            found.append(self.unroll(segment, found[-1])[1])
        return found

    def forecast(self, state: Tensors, partial: Tensor, filled: Tensor, segments: int) -> Tensors:
        """See `Forecaster`."""
        self._check_horizon(segments)
        filled = filled.unsqueeze(1)
        first = torch.where(filled > 0, partial[:, :1], 0.0)
        readings = torch.cat([_window(state, first), partial], dim=1)  # (N, L + S)
        latest = readings.gather(1, filled + torch.arange(self.look_back, device=filled.device))
        num_read = state["seen"] * self.segment + filled
        window = self.normalise(latest, state["unit"], num_read)
        positions = torch.arange(segments, device=filled.device)
        decoded = self.decode(self.encode(window.segments), state["channel"], positions, positions)
        mean = window.last + window.scale * decoded.mean.flatten(1).double()
        spread = window.scale.unsqueeze(2) * decoded.quantiles.flatten(1, 2).double()
        return {"mean": mean, "quantiles": window.last.unsqueeze(2) + spread}

    def normalise(self, readings: Tensor, unit: Tensor, num_read: Tensor) -> Window:
        """Normalise the last L readings.

        Args:
            readings: float64 (N, L).
            unit: Typical scale of the channels, float64 (N, 1). 0 if unknown.
            num_read: Number of readings that have ever arrived, (N, 1). If fewer than L, those before them are copies.
        """
        last, num_real = readings[:, -1:], num_read.clamp(min=1, max=self.look_back)
        is_real = torch.arange(self.look_back, device=readings.device) >= self.look_back - num_real
        level = row_sum(torch.where(is_real, readings, 0.0)).unsqueeze(1) / num_real
        deviation = row_sum(torch.where(is_real, (readings - level).abs(), 0.0)).unsqueeze(1) / num_real
        scale = torch.where(unit > 0, unit, deviation)
        relative = (readings - last) / torch.where(scale > 0, scale, 1.0)
        return Window(
            last, scale, as_input(relative, LARGEST_FEATURE).view(-1, self.look_back // self.segment, self.segment)
        )

    def encode(self, segments: Tensor) -> Tensor:
        """Return the hidden state, float32 (N, H), after the segments of a window, float32 (N, L / S, S)."""
        h = segments.new_zeros(segments.shape[0], self.cell.hidden_size)
        for projected in self.cell.project(torch.relu(self.embedding(segments))).unbind(dim=1):
            h = self.cell.advance(projected, h)
        return h

    def decode(self, h: Tensor, channel: Tensor, positions: Tensor, quantile_positions: Tensor) -> Decoded:
        """Decode future segments from a hidden state.

        Args:
            h: float32 (N, H).
            channel: int64 (N, 1).
            positions: Which segments to decode, counted from the latest reading, int64 (P,).
            quantile_positions: Indices into `positions` of the segments that also get quantiles, int64 (Pq,).
        """
        half = self.positions.shape[1]
        # [position, channel] Wx as a sum, instead of one product per pair. All positions are multiplied, whatever the
        # horizon, so that the bits do not depend on it.
        of_position = (self.positions @ self.cell.Wx[:half])[positions]  # (P, 3H)
        of_channel = self.channel_embedding(channel) @ self.cell.Wx[half:] + self.cell.b  # (N, 1, 3H)
        y = self.dropout(self.cell.advance(of_position + of_channel, h.unsqueeze(1)))  # (N, P, H)
        mean = self.point(y)
        known, other = self.widening[:, positions[quantile_positions]].view(2, 1, -1, 1, 1)
        widening = torch.where(channel.view(-1, 1, 1, 1) > 0, known, other)  # (N, Pq, 1, 1)
        quantiles = self._quantiles(y[:, quantile_positions].detach(), mean[:, quantile_positions], widening)
        return Decoded(mean, quantiles)

    def _quantiles(self, y: Tensor, mean: Tensor, widening: Tensor) -> Tensor:
        """Return quantiles (N, Pq, S, Q) around the mean (N, Pq, S), which is also the median."""
        raw = self.spread(y).unflatten(2, (self.segment, len(QUANTILE_LEVELS) - 1))
        return self._fan(mean.detach().unsqueeze(3), raw[..., :MIDDLE], raw[..., MIDDLE:], widening)

    def forward(
        self, readings: Tensor, static_features: StaticFeatures, positions: Tensor, quantile_positions: Tensor
    ) -> tuple[Decoded, Window]:
        """Forecast from whole windows: the training pass.

        Args:
            readings: float64 (N, L).
            static_features: Static features of the channels.
            positions: Which segments to forecast, int64 (P,).
            quantile_positions: Indices into `positions`, int64 (Pq,).

        Returns:
            The forecasts, and the windows that they are relative to.
        """
        window = self.normalise(
            readings, static_features.unit, torch.full_like(static_features.channel, self.look_back)
        )
        return self.decode(self.encode(window.segments), static_features.channel, positions, quantile_positions), window


def _window(state: Tensors, first: Tensor) -> Tensor:
    """Return the window (N, L) of a state. A fresh channel's window is filled with its first reading, (N, 1)."""
    return torch.where(state["seen"] > 0, state["window"], first)
