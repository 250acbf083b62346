"""Readings in, the readings to come out, with quantiles: one GRU over segments of 24, decoded in parallel.

The idea of SegRNN (Lin et al. 2023, arXiv:2308.11200): a segment is one step of the GRU, and each future segment is one
step more, from the last hidden state on a learned embedding of its position. What differs, so that it can stream and
take any channel: channels have no embedding, and the normalisation is causal (see profile.py) instead of subtracting
the last value of a whole window. Future segments stay on the grid of the past ones; the running days enter the
forecast directly, with weights that the hidden state sets:

    y_m = GRU(position_m, h)                                    m = 0 is the unfinished segment
    mean_m = last + scale (y_m W + sum_k w_k(y_m) day_k + mix(days))
    quantiles = mean + scale (middle - or + sums of softplus), so they never cross
"""

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from training.cells import GRUCell
from training.models.profile import SEGMENT, Profile, View, feature_size, observe
from training.models.streaming import StateTensor, Tensors
from training.settings import Section

QUANTILE_LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
MIDDLE = len(QUANTILE_LEVELS) // 2
MAX_SEGMENTS = 30  # 720 readings


class ForecastingModelSettings(Section):
    """Sizes, regularisation and forgetting."""

    embedding_size: int = Field(default=128, ge=1)
    hidden_size: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1, description="before the heads")
    day_decays: tuple[float, ...] = Field(
        default=(0.8, 0.97), min_length=1, description="per segment, of each running day, the slowest last"
    )
    scale_decay: float = Field(default=0.9, ge=0, lt=1, description="per segment, of the running scale")


class Decoded(NamedTuple):
    """Future segments relative to the latest reading, in units of the running scale.

    Args:
        mean: float32 (N, P, 24).
        quantiles: float32 (N, Pq, 24, Q).
    """

    mean: Tensor
    quantiles: Tensor


class ForecastingModel(nn.Module):
    """A probabilistic forecaster of hourly readings whose rows are channels, all with the same weights."""

    def __init__(self, settings: ForecastingModelSettings) -> None:
        super().__init__()
        D, H, Q = settings.embedding_size, settings.hidden_size, len(QUANTILE_LEVELS)
        K = 1 + len(settings.day_decays)
        self.decays, self.scale_decay = settings.day_decays, settings.scale_decay
        self.hidden_size = H
        self.embedding = nn.Linear(feature_size(self.decays), D)
        self.cell = GRUCell(D, H)
        self.positions = nn.Parameter(0.02 * torch.randn(1 + MAX_SEGMENTS, D))
        self.dropout = nn.Dropout(settings.dropout)
        self.point = nn.Linear(H, SEGMENT)
        self.day_weights = nn.Linear(H, K)
        self.position_day_weights = nn.Parameter(torch.zeros(1 + MAX_SEGMENTS, K))
        self.mix = nn.Linear(K * SEGMENT, SEGMENT, bias=False)
        self.spread = nn.Linear(H, SEGMENT * Q)
        self._initialise()
        self.state = (
            StateTensor("h", "float32", (1, "N", H)),
            StateTensor("seen", "float64", ("N", 1)),
            StateTensor("days", "float64", ("N", K, SEGMENT)),
            StateTensor("scale", "float64", ("N", 1)),
        )

    def _initialise(self) -> None:
        """A fresh model forecasts a mixture of the running days, with narrow quantiles."""
        with torch.no_grad():
            self.point.bias.zero_()
            self.mix.weight.zero_()
            self.position_day_weights[:, 1:] = 0.6 / len(self.decays)
            self.spread.weight.mul_(0.3)
            self.spread.bias.fill_(-2.0)

    def initial_state(self, N: int) -> Tensors:
        """The state of N channels without a reading."""
        return {tensor.name: tensor.allocate(N, self.positions.device) for tensor in self.state}

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by T whole segments, step by step: see `StreamingModel`.

        Args:
            x: Readings in their own units, float64 (N, T, 24).
            state: As `state` lists it.

        Returns:
            No outputs, and the next state.
        """
        hs, profiles = self.read(x, state)
        return {}, {"h": hs[-1].unsqueeze(0), **profiles[-1]._asdict()}

    def read(self, x: Tensor, state: Tensors) -> tuple[list[Tensor], list[Profile]]:
        """The hidden state, float32 (N, H), and the statistics after each of T segments: T + 1 of each."""
        hs, profiles, views = [state["h"][0]], [_profile(state)], []
        whole = torch.full_like(x[:, 0, :1], SEGMENT, dtype=torch.int64)
        for segment in x.unbind(dim=1):
            profile, view = self._observe(profiles[-1], segment, whole)
            profiles.append(profile)
            views.append(view.features)
        for projected in self._project(torch.stack(views, dim=1)).unbind(dim=1):
            hs.append(self.cell.advance(projected, hs[-1]))
        return hs, profiles

    def forecast(self, state: Tensors, partial: Tensor, filled: Tensor, segments: int) -> Tensors:
        """The readings to come, counted from the latest one, in the readings' own units.

        Args:
            state: After all whole segments.
            partial: Readings of the unfinished segment, float64 (N, 24); those beyond `filled` are ignored.
            filled: How many of them have arrived, int64 (N,), 0 to 23.
            segments: M, how many times 24 readings to forecast, at most 30.

        Returns:
            {"mean": float64 (N, M * 24), "quantiles": float64 (N, M * 24, Q)}.

        Raises:
            ValueError: The horizon is too long.
        """
        if not 1 <= segments <= MAX_SEGMENTS:
            raise ValueError(f"segments must be 1 to {MAX_SEGMENTS}, not {segments}")
        h, view = self.look(state["h"][0], _profile(state), partial, filled)
        positions = torch.arange(segments + 1, device=h.device)
        decoded = self.decode(h, view.days, positions, positions)
        mean = view.last + view.scale * decoded.mean.flatten(1).double()
        quantiles = view.last.unsqueeze(2) + view.scale.unsqueeze(2) * decoded.quantiles.flatten(1, 2).double()
        ahead = filled.unsqueeze(1) + torch.arange(segments * SEGMENT, device=h.device)  # (N, M * 24)
        quantile_index = ahead.unsqueeze(2).expand(-1, -1, len(QUANTILE_LEVELS))
        return {"mean": mean.gather(1, ahead), "quantiles": quantiles.gather(1, quantile_index)}

    def look(self, h: Tensor, profile: Profile, partial: Tensor, filled: Tensor) -> tuple[Tensor, View]:
        """The hidden state (N, H) and the view with the pending readings taken in, both for a forecast only."""
        filled = filled.unsqueeze(1)
        _, view = self._observe(profile, partial, filled)
        return torch.where(filled > 0, self.cell.advance(self._project(view.features), h), h), view

    def decode(self, h: Tensor, days: Tensor, positions: Tensor, quantile_positions: Tensor) -> Decoded:
        """Forecast segments of the grid.

        Args:
            h: Hidden state, float32 (N, H).
            days: The running days as the view has them, float32 (N, K, 24).
            positions: Which segments, int64 (P,), where 0 is the unfinished one.
            quantile_positions: For which of these quantiles are wanted, as indices into `positions`, int64 (Pq,).
        """
        N, P = h.shape[0], len(positions)  # len(h) would be a constant of a traced graph
        projected = self.cell.project(self.positions[positions]).expand(N, -1, -1)  # (N, P, 3H)
        h = h.unsqueeze(1).expand(-1, P, -1)  # (N, P, H)
        y = self.cell.advance(projected.flatten(0, 1), h.flatten(0, 1))  # (N * P, H)
        y = self.dropout(y).unflatten(0, (-1, P))
        weights = self.position_day_weights[positions] + self.day_weights(y)  # (N, P, K)
        mean = self.point(y) + weights @ days + self.mix(days.flatten(1)).unsqueeze(1)
        return Decoded(mean, self._quantiles(y[:, quantile_positions], mean[:, quantile_positions]))

    def _quantiles(self, y: Tensor, mean: Tensor) -> Tensor:
        """Quantiles (N, Pq, 24, Q) around the mean (N, Pq, 24): the middle one, then outwards by positive steps."""
        raw = self.spread(y).unflatten(2, (SEGMENT, len(QUANTILE_LEVELS)))
        middle = mean.unsqueeze(3) + 0.3 * raw[..., MIDDLE : MIDDLE + 1]
        below = middle - softplus(raw[..., :MIDDLE]).cumsum(dim=3).flip(3)
        above = middle + softplus(raw[..., MIDDLE + 1 :]).cumsum(dim=3)
        return torch.cat([below, middle, above], dim=3)

    def forward(
        self, x: Tensor, partial: Tensor, filled: Tensor, ends: Tensor, positions: Tensor, quantile_positions: Tensor
    ) -> tuple[Decoded, View]:
        """The training pass: fresh channels read T segments, and forecast after some of them.

        Args:
            x: Readings, float64 (N, T, 24).
            partial: The segment that follows each origin, float64 (N, E, 24).
            filled: How many of its readings are known there, int64 (N, E).
            ends: Whole segments before each origin, int64 (N, E), 0 to T.
            positions: Which segments to forecast, int64 (P,).
            quantile_positions: Indices into them, int64 (Pq,).

        Returns:
            The forecasts of the N * E origins, and what they are relative to.
        """
        hs, profiles = self.read(x, self.initial_state(len(x)))
        h = _pick(torch.stack(hs, dim=1), ends)
        profile = Profile(*(_pick(torch.stack(parts, dim=1), ends) for parts in zip(*profiles, strict=True)))
        h, view = self.look(h, profile, partial.flatten(0, 1), filled.flatten())
        return self.decode(h, view.days, positions, quantile_positions), view

    def _observe(self, profile: Profile, segment: Tensor, filled: Tensor) -> tuple[Profile, View]:
        return observe(profile, segment, filled, self.decays, self.scale_decay)

    def _project(self, features: Tensor) -> Tensor:
        return self.cell.project(torch.relu(self.embedding(features)))


def _profile(state: Tensors) -> Profile:
    return Profile(state["seen"], state["days"], state["scale"])


def _pick(values: Tensor, ends: Tensor) -> Tensor:
    """Values (N, T + 1, ...) after each origin's number of segments (N, E), as (N * E, ...)."""
    rows = torch.arange(len(values), device=values.device).unsqueeze(1)
    return values[rows, ends].flatten(0, 1)
