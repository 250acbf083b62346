"""A streaming forecaster: readings in, forecasts with quantiles out. One GRU over segments, decoded in parallel.

Based on SegRNN (Lin et al. 2023, arXiv:2308.11200): each segment is one step of the GRU, and each future segment is one
step from the last hidden state, whose input is a learned embedding of its position. To stream, and to take any channel,
it differs in two ways: channels have no embedding, only a typical level and scale if these are known; and normalisation
is causal (see running_statistics.py) instead of subtracting the last value of a whole window. Future segments stay on
the grid of the past ones. The running seasons enter the forecast directly, with weights computed from the hidden state:

    y_m      = GRU(position_m, h)                               m = 0 is the unfinished segment
    mean_m   = y_m W + sum_k w_k(y_m) season_k[m] + mix(seasons[m])
    median_m = mean_m + 0.3 y_m V
    above_mj = median_m + widening sum_{i <= j} softplus(y_m A_i)       j = 1 .. 9 quantiles above the median
    below_mj = median_m - widening sum_{i <= j} softplus(y_m B_i)       as many below it: they never cross

All of these are in units of the scale and relative to the latest reading: the forecast is last + scale (..).
"""

from typing import Annotated, Self

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
from training.models.running_statistics import (
    RunningStatistics,
    Seasonality,
    SegmentFeatures,
    peek_segment,
    read_segment,
)
from training.models.streaming import StateTensor, Tensors
from training.recurrence.cells import GRUCell


class StreamingForecasterSettings(ForecasterModelSettings):
    """Sizes, regularisation and forgetting."""

    season: int = Field(default=24, ge=1, description="readings in a season, a multiple of segment")
    embedding_size: int = Field(default=128, ge=1)
    hidden_size: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1, description="dropout before the heads")
    season_decays: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        default=(0.8, 0.97), min_length=1, description="decay per season of each running season, the slowest last"
    )
    scale_decay: float = Field(default=0.9, ge=0, lt=1, description="decay per season of the running scale")

    @model_validator(mode="after")
    def _whole_segments(self) -> Self:
        if self.season % self.segment:
            raise ValueError(f"a season of {self.season} readings is no multiple of a segment of {self.segment}")
        return self

    @property
    def seasonality(self) -> Seasonality:
        """Segments, season and decays of a channel."""
        return Seasonality(self.segment, self.season, self.season_decays, self.scale_decay)


class StreamingForecaster(Forecaster):
    """A probabilistic forecaster of readings at equal intervals.

    Args:
        settings: Sizes and forgetting.
        channels: See `Forecaster`.
        interval: See `Forecaster`.
    """

    def __init__(
        self, settings: StreamingForecasterSettings, channels: tuple[str, ...] = (), interval: str = ""
    ) -> None:
        super().__init__(settings.segment, settings.max_segments, channels, interval, torch.ones(()))
        self.seasonality = settings.seasonality
        D, H, Q, S = settings.embedding_size, settings.hidden_size, len(QUANTILE_LEVELS), settings.segment
        K = self.seasonality.num_seasons
        self.hidden_size = H
        self.embedding = nn.Linear(self.seasonality.feature_size, D)
        self.cell = GRUCell(D, H)
        self.positions = nn.Parameter(0.02 * torch.randn(1 + self.max_segments, D))
        self.dropout = nn.Dropout(settings.dropout)
        self.point = nn.Linear(H, S)
        self.season_weights = nn.Linear(H, K + 1)  # + 1 for the typical level
        self.position_season_weights = nn.Parameter(torch.zeros(1 + self.max_segments, K + 1))
        self.mix = nn.Linear((K + 1) * S, S, bias=False)
        self.spread = nn.Linear(H, S * Q)
        self._initialise()
        self.state = (
            StateTensor("h", "float32", (1, "N", H)),
            StateTensor("seen", "float64", ("N", 1)),
            StateTensor("seasons", "float64", ("N", K, settings.season)),
            StateTensor("scale", "float64", ("N", 1)),
            StateTensor("center", "float64", ("N", 1)),
            StateTensor("unit", "float64", ("N", 1)),
        )

    def _initialise(self) -> None:
        """Make a fresh model forecast a mixture of the running seasons, with narrow quantiles around it."""
        with torch.no_grad():
            self.point.bias.zero_()
            self.mix.weight.zero_()
            self.position_season_weights[:, 1:-1] = 0.6 / len(self.seasonality.decays)
            self.spread.weight.mul_(0.3)
            steps = self.spread.bias.fill_(-2.0).view(self.seasonality.segment, len(QUANTILE_LEVELS))
            steps[:, MIDDLE] = 0.0  # the median's distance from the mean, not a step

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """See `Forecaster`."""
        hs, history = self.read(x, state)
        return {}, {"h": hs[-1].unsqueeze(0), **history[-1]._asdict()}

    def read(self, x: Tensor, state: Tensors) -> tuple[list[Tensor], list[RunningStatistics]]:
        """Read T segments x, float64 (N, T, S).

        Returns:
            The T + 1 hidden states, float32 (N, H), and statistics, before the first and after each segment.
        """
        hs, history, vectors = [state["h"][0]], [_statistics(state)], []
        for segment in x.unbind(dim=1):
            statistics, features = read_segment(history[-1], segment, self.seasonality)
            history.append(statistics)
            vectors.append(features.vector)
        for projected in self._project(torch.stack(vectors, dim=1)).unbind(dim=1):
            hs.append(self.cell.advance(projected, hs[-1]))
        return hs, history

    def states(self, x: Tensor, state: Tensors) -> list[Tensors]:
        """See `Forecaster`."""
        hs, history = self.read(x, state)
        return [{"h": h.unsqueeze(0), **statistics._asdict()} for h, statistics in zip(hs, history, strict=True)]

    def forecast(self, state: Tensors, partial: Tensor, filled: Tensor, segments: int) -> Tensors:
        """See `Forecaster`."""
        self._check_horizon(segments)
        h, features = self.read_partial(state["h"][0], _statistics(state), partial, filled)
        positions = torch.arange(segments + 1, device=h.device)
        decoded = self.decode(h, features.seasons, positions, positions)
        mean = features.last + features.scale * decoded.mean.flatten(1).double()
        quantiles = features.last.unsqueeze(2) + features.scale.unsqueeze(2) * decoded.quantiles.flatten(1, 2).double()
        ahead = filled.unsqueeze(1) + torch.arange(segments * self.seasonality.segment, device=h.device)  # (N, M * S)
        quantile_index = ahead.unsqueeze(2).expand(-1, -1, len(QUANTILE_LEVELS))
        return {"mean": mean.gather(1, ahead), "quantiles": quantiles.gather(1, quantile_index)}

    def read_partial(
        self, h: Tensor, statistics: RunningStatistics, partial: Tensor, filled: Tensor
    ) -> tuple[Tensor, SegmentFeatures]:
        """Read pending readings for one forecast only. Returns the hidden state (N, H) and the features after them."""
        filled = filled.unsqueeze(1)
        _, features = peek_segment(statistics, partial, filled, self.seasonality)
        advanced = self.cell.advance(self._project(features.vector), h)
        return torch.where(filled > 0, advanced, h), features

    def decode(self, h: Tensor, seasons: Tensor, positions: Tensor, quantile_positions: Tensor) -> Decoded:
        """Decode future segments from a hidden state.

        Args:
            h: float32 (N, H).
            seasons: Running seasons and typical level relative to the latest reading, float32 (N, K + 1, season).
            positions: Which segments to decode, counted from the unfinished one, int64 (P,).
            quantile_positions: Indices into `positions` of the segments that also get quantiles, int64 (Pq,).
        """
        # All positions step from the same state, so h Wh is one product per row, whatever the horizon.
        y = self.cell.advance(self.cell.project(self.positions[positions]), h.unsqueeze(1))  # (N, P, H)
        y = self.dropout(y)
        weights = self.position_season_weights[positions] + self.season_weights(y)  # (N, P, K + 1)
        mean = self.point(y) + self._of_seasons(weights, seasons, positions)
        return Decoded(mean, self._quantiles(y[:, quantile_positions], mean[:, quantile_positions]))

    def _of_seasons(self, weights: Tensor, seasons: Tensor, positions: Tensor) -> Tensor:
        """Return the seasons' contribution to the forecast at each position, (N, P, S)."""
        if self.seasonality.segments_per_season == 1:
            everywhere: Tensor = self.mix(seasons.flatten(1)).unsqueeze(1)
            return weights @ seasons + everywhere
        places = torch.stack(torch.split(seasons, self.seasonality.segment, dim=2), dim=1)  # (N, places, K + 1, S)
        there = places[:, positions % self.seasonality.segments_per_season]  # (N, P, K + 1, S)
        mixed: Tensor = self.mix(there.flatten(2))
        return (weights.unsqueeze(3) * there).sum(dim=2) + mixed

    def _quantiles(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return quantiles (N, Pq, S, Q) around the mean (N, Pq, S)."""
        raw = self.spread(y).unflatten(2, (self.seasonality.segment, len(QUANTILE_LEVELS)))
        middle = mean.unsqueeze(3) + 0.3 * raw[..., MIDDLE : MIDDLE + 1]
        return self._fan(middle, raw[..., :MIDDLE], raw[..., MIDDLE + 1 :], self.widening)

    def forward(
        self,
        x: Tensor,
        partial: Tensor,
        filled: Tensor,
        ends: Tensor,
        positions: Tensor,
        quantile_positions: Tensor,
        static_features: StaticFeatures | None = None,
    ) -> tuple[Decoded, SegmentFeatures]:
        """Read T segments of fresh channels and forecast after some of them: the training pass.

        Args:
            x: Readings, float64 (N, T, S).
            partial: The segment in which each forecast origin lies, float64 (N, E, S).
            filled: Number of its readings before the origin, int64 (N, E).
            ends: Whole segments before each origin, int64 (N, E), 0 to T.
            positions: Which segments to forecast, int64 (P,).
            quantile_positions: Indices into `positions`, int64 (Pq,).
            static_features: Static features of the channels.

        Returns:
            The forecasts of the N * E origins, and the features of the segments that they are relative to.
        """
        state = self.initial_state(len(x)) if static_features is None else self.known_state(static_features)
        hs, history = self.read(x, state)
        h = _pick(torch.stack(hs, dim=1), ends)
        statistics = RunningStatistics(
            *(_pick(torch.stack(parts, dim=1), ends) for parts in zip(*history, strict=True))
        )
        h, features = self.read_partial(h, statistics, partial.flatten(0, 1), filled.flatten())
        return self.decode(h, features.seasons, positions, quantile_positions), features

    def _project(self, features: Tensor) -> Tensor:
        return self.cell.project(torch.relu(self.embedding(features)))


def _statistics(state: Tensors) -> RunningStatistics:
    return RunningStatistics(*(state[name] for name in RunningStatistics._fields))


def _pick(values: Tensor, ends: Tensor) -> Tensor:
    """Select values (N, T + 1, ...) by each origin's number of segments (N, E). Returns (N * E, ...)."""
    rows = torch.arange(len(values), device=values.device).unsqueeze(1)
    return values[rows, ends].flatten(0, 1)
