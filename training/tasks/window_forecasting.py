"""The task forecasting-window: forecasts from a window of the last readings, as in the published protocol."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, ClassVar, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.data.source import DataError
from training.data.table import first_rows, level_and_scale
from training.forecasts import bands
from training.forecasts.backtest import Channels, Readings, errors_by_kind
from training.forecasts.errors import Errors, pinball
from training.models.forecaster import Forecaster, StaticFeatures
from training.models.window_forecaster import WindowForecaster, WindowForecasterSettings
from training.settings import Section
from training.tasks.forecaster import ForecasterSettings, ForecasterTask


class StartSettings(Section):
    """The windows of a batch."""

    starts: int = Field(default=256, ge=1, description="windows in a batch, each of all channels")
    known_share: float = Field(
        default=0.9, ge=0, le=1, description="share of channels whose level and scale the model is given"
    )
    least_known: int = Field(default=96, ge=1, description="readings that must be known after a window's end")


class WindowLossSettings(Section):
    """Weights of the horizons, and of the quantiles."""

    horizons: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(96, 192, 336, 720), min_length=1, description="horizons, in readings, whose mean errors count"
    )
    falloff: float = Field(default=1.0, ge=0, description="the mean error up to horizon H has the weight H ** -falloff")
    quantile_segments: int = Field(
        default=3, ge=1, description="segments whose quantiles are trained, drawn for each batch"
    )


class WindowForecastingSettings(ForecasterSettings):
    """Settings of a run."""

    model: WindowForecasterSettings = WindowForecasterSettings()
    windows: StartSettings = StartSettings()
    loss: WindowLossSettings = WindowLossSettings()

    @model_validator(mode="after")
    def _teaches_all_segments(self) -> Self:
        if max(self.loss.horizons) < self.model.max_segments * self.model.segment:
            raise ValueError(f"the longest of the horizons must be all {self.model.max_segments} segments, or more")
        return self


class WindowBatch(NamedTuple):
    """A batch of N rows, one per window and channel. H is the longest horizon, in readings.

    Args:
        past: Readings of the windows, float64 (N, L).
        future: The readings that follow, float64 (N, H). 0 beyond the training rows.
        is_known: Which of these lie within the training rows, bool (N, H).
        static_features: What the model knows of each row's channel. All 0 for an unknown channel.
    """

    past: Tensor
    future: Tensor
    is_known: Tensor
    static_features: StaticFeatures


class WindowForecastingTask(ForecasterTask[WindowForecastingSettings]):
    """A window forecaster. An epoch has every window of the training rows once, for all channels."""

    name = "forecasting-window"
    settings_type = WindowForecastingSettings
    units: ClassVar[dict[str, str]] = ForecasterTask.units | {
        "train_loss": "absolute error + pinball loss, standardised readings"
    }

    @property
    def knows_channels(self) -> bool:
        """Whether any row comes from a known channel."""
        return self.settings.windows.known_share > 0

    def build_model(self) -> WindowForecaster:
        """Build a model with random weights."""
        return WindowForecaster(self.settings.model, self.channel_names, self.interval)

    def batches_per_epoch(self) -> int:
        """Cover all windows, in full batches. A remainder that does not fill a batch is dropped."""
        return max(len(self._starts) // self.settings.windows.starts, 1)

    def train_batches(self, epoch: int) -> Iterator[WindowBatch]:
        """Yield batches of windows in random order."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        order = torch.from_numpy(rng.permutation(self._starts))
        for starts in torch.split(order, self.settings.windows.starts)[: self.batches_per_epoch()]:
            yield self._batch(starts, rng)

    def count_items(self, batch: WindowBatch) -> int:
        """Count the readings in the windows, excluding those to be forecast."""
        return batch.past.numel()

    def loss(self, model: nn.Module, batch: WindowBatch, carry: None) -> tuple[Tensor, None]:
        """Add mean absolute error up to each horizon and pinball loss of quantiles, in the units of the readings."""
        S, M = self.settings.model.segment, self.settings.model.max_segments
        device = batch.past.device
        quantile_positions = torch.randperm(M, device=device)[: self.settings.loss.quantile_segments]
        decoded, window = model(batch.past, batch.static_features, torch.arange(M, device=device), quantile_positions)
        target = (batch.future - window.last).float().view(-1, M, S)
        of_horizons = horizon_weights(self.settings.loss.horizons, self.settings.loss.falloff, M * S).to(device)
        weights = batch.is_known.view(-1, M, S) * of_horizons.view(M, S)
        scale = window.scale.float().unsqueeze(2)
        point = (decoded.mean * scale - target).abs()
        spread = pinball(decoded.quantiles * scale.unsqueeze(3), target[:, quantile_positions])
        return _mean(point, weights) + _mean(spread, weights[:, quantile_positions]), carry

    def needed_widening(self, model: Forecaster, errors: Mapping[str, list[Errors]]) -> Tensor:
        """Compute the widening of each segment ahead, (2, M): for the channels as known, and as unknown ones."""
        unknown = Channels.unknown(self.series.standardized)
        errors_as_unknown = errors_by_kind(self.choosing(model, unknown))
        return torch.stack([self._widening_by_segment(found) for found in (errors, errors_as_unknown)])

    def _widening_by_segment(self, errors: Mapping[str, list[Errors]]) -> Tensor:
        """Compute the widening of each segment, float64 (M,). Beyond the longest horizon, the last one is repeated."""
        longest = errors["windowed" if "windowed" in errors else "streamed"][-1]
        S, M = self.settings.model.segment, self.settings.model.max_segments
        found = bands.widening_by_segment(longest, S, self.settings.bands.coverage)
        return torch.from_numpy(np.pad(found, (0, M - len(found)), mode="edge"))

    @cached_property
    def _level_and_scale(self) -> tuple[Readings, Readings]:
        """Typical level and scale of the training rows, float64 (channels,) each."""
        return level_and_scale(self.train_readings)

    @property
    def _starts(self) -> range:
        """First rows of the windows.

        Raises:
            DataError: The training rows are too few for a window.
        """
        first = int(first_rows(self.train_readings).max())
        stop = len(self.train_readings) - self.settings.model.look_back - self.settings.windows.least_known + 1
        if stop <= first:
            raise DataError(f"{first + 1 - stop} more training rows are needed for a window and its horizon")
        return range(first, stop)

    def _batch(self, starts: Tensor, rng: np.random.Generator) -> WindowBatch:
        readings = torch.from_numpy(np.ascontiguousarray(self.train_readings))
        model, channels = self.settings.model, readings.shape[1]
        index = starts.unsqueeze(1) + torch.arange(model.look_back + model.max_segments * model.segment)
        is_known = index < len(readings)
        rows = torch.where(is_known.unsqueeze(2), readings[index.clamp(max=len(readings) - 1)], 0.0)
        rows = rows.movedim(2, 1).flatten(0, 1)  # (starts * channels, L + H)
        is_known_channel = torch.from_numpy(rng.random((len(rows), 1)) < self.settings.windows.known_share)
        center, unit = (_by_row(values, len(starts)) for values in self._level_and_scale)
        return WindowBatch(
            past=rows[:, : model.look_back],
            future=rows[:, model.look_back :],
            is_known=is_known[:, model.look_back :].repeat_interleave(channels, dim=0),
            static_features=StaticFeatures(
                channel=torch.where(is_known_channel, _by_row(range(1, channels + 1), len(starts)), 0),
                center=torch.where(is_known_channel, center, 0.0),
                unit=torch.where(is_known_channel, unit, 0.0),
            ),
        )


def horizon_weights(horizons: Sequence[int], falloff: float, count: int) -> Tensor:
    """Return the weight of each of `count` readings ahead, float32 (count,).

    It is the sum of H ** -falloff / H over the horizons H that include the reading. In the power, H is in units of the
    shortest horizon, so that no weight is tiny: only proportions matter.
    """
    ahead = torch.arange(count)
    return torch.stack([(ahead < H) / H * (H / min(horizons)) ** -falloff for H in horizons]).sum(dim=0)


def _by_row(values: Sequence[float] | np.ndarray, starts: int) -> Tensor:
    """Repeat one value per channel for all rows of a batch, (starts * channels, 1)."""
    return torch.as_tensor(np.asarray(values)).repeat(starts).unsqueeze(1)


def _mean(errors: Tensor, weights: Tensor) -> Tensor:
    return (errors * weights).sum() / weights.sum().clamp(min=1e-9)
