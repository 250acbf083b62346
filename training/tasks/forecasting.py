"""Forecasting: what any number of channels will read, from any moment of a stream."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from training.data.series import Series
from training.data.source import DataError
from training.data.table import level_and_scale
from training.models.forecasting import QUANTILE_LEVELS, ForecastingModel, ForecastingModelSettings
from training.settings import LoopSettings, Section, Settings
from training.tasks import forecast_errors, forecast_plots
from training.tasks.forecast_data import DataSettings, channels_of, interval_of, load, source_of
from training.tasks.forecast_errors import Channels, Errors
from training.tasks.forecast_windows import Batch, WindowSettings, draw_windows
from training.tasks.task import Goal, Task

NARROWEST = 0.25  # of the width that was trained: dev rows may be few, or all alike


class LossSettings(Section):
    """What is asked of a forecast."""

    near_segments: int = Field(default=5, ge=1, description="segments from the origin that are always trained")
    far_segments: int = Field(default=3, ge=0, description="later segments, drawn for each batch")
    far_weight: float = Field(default=0.3, gt=0, description="weight of a later segment")
    quantile_segments: int = Field(default=2, ge=1, description="segments whose quantiles are trained, drawn a batch")
    point_weight: float = Field(default=1.0, gt=0)
    coverage: float = Field(
        default=0.785, gt=0, lt=1, description="share of the dev rows that bands of 80 % cover, after training"
    )
    linear_from: float = Field(default=1.0, gt=0, description="standardised error from which the loss is linear")


class ForecastingSettings(Settings):
    """Settings of a run."""

    loop: LoopSettings = LoopSettings()
    data: DataSettings = DataSettings()
    model: ForecastingModelSettings = ForecastingModelSettings()
    windows: WindowSettings = WindowSettings()
    loss: LossSettings = LossSettings()


class ForecastingTask(Task[ForecastingSettings]):
    """A forecaster that streams, trained on random windows with random phases and pending readings."""

    name = "forecasting"
    settings_type = ForecastingSettings
    goal = Goal("relative_mse", "lower")
    item = "reading"
    units: ClassVar[dict[str, str]] = {
        "train_loss": "smooth L1 + pinball loss, standardised readings",
        "dev_relative_mse": "MSE, share of seasonal naive",
        "dev_windowed_relative_mse": "MSE, share of seasonal naive",
        "dev_streamed_relative_mse": "MSE, share of seasonal naive",
    }

    def __init__(self, settings: ForecastingSettings, tokenizer: None = None) -> None:
        super().__init__(settings, tokenizer)
        self.sources = (source_of(settings.data),)

    @cached_property
    def series(self) -> Series:
        """The data set."""
        return load(self.settings.data)

    @cached_property
    def _channels(self) -> Channels:
        """On the scale of the errors, known if the model knows channels."""
        readings = self.series.standardized
        is_told = self.settings.windows.known_share > 0
        return Channels.known(readings, self.series.splits["train"]) if is_told else Channels.unknown(readings)

    def build_model(self) -> ForecastingModel:
        """A fresh model."""
        data, is_told = self.settings.data, self.settings.windows.known_share > 0
        return ForecastingModel(self.settings.model, channels_of(data) if is_told else (), interval_of(data))

    def initialise(self, model: nn.Module) -> None:
        """Tell the model the typical level and scale of the training rows, in the units of the file."""
        forecaster = cast(ForecastingModel, model)
        if forecaster.channels:
            rows = self.series.splits["train"]
            center, unit = level_and_scale(self.series.table.readings[rows.start : rows.stop])
            forecaster.centers.copy_(torch.from_numpy(center))
            forecaster.units.copy_(torch.from_numpy(unit))

    def batches_per_epoch(self) -> int:
        """As set: windows are drawn at random, an epoch is only the time between two evaluations."""
        return self.settings.windows.batches

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Random windows of the training rows, see `draw_windows`."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        rows, model = self.series.splits["train"], self.settings.model
        train = self.series.standardized[rows.start : rows.stop]
        for _ in range(self.settings.windows.batches):
            yield draw_windows(train, model.segment, model.max_segments, self.settings.windows, rng)

    def loss(self, model: nn.Module, batch: Batch, carry: None) -> tuple[Tensor, None]:
        """Smooth L1 loss of the point forecast and pinball loss of the quantiles, on the scale of the errors."""
        loss, (S, M) = self.settings.loss, (self.settings.model.segment, self.settings.model.max_segments)
        positions, weights = _draw_positions(loss, M, batch["ends"].device)
        quantile_positions = torch.randperm(len(positions), device=positions.device)[: loss.quantile_segments]
        x, partial = _inputs(batch, S, M)
        known = batch["center"], batch["unit"]
        decoded, view = model(x, partial, batch["filled"], batch["ends"], positions, quantile_positions, known)
        actual, is_known = _targets(batch, positions, S)  # (N * E, P, S)
        weights = weights.unsqueeze(1) * is_known
        target = (actual - view.last.unsqueeze(2)).float()
        scale = view.scale.unsqueeze(2).float()
        point = smooth_l1_loss(decoded.mean * scale, target, reduction="none", beta=loss.linear_from)
        pinball = _pinball(decoded.quantiles * scale.unsqueeze(3), target[:, quantile_positions])
        quantile_weights = weights[:, quantile_positions]
        total = loss.point_weight * (point * weights).sum() / weights.sum().clamp(min=1.0)
        return total + (pinball * quantile_weights).sum() / quantile_weights.sum().clamp(min=1.0), carry

    def validate(self, model: nn.Module) -> dict[str, float]:
        """MSE by that of a seasonal naive forecast, mean over the horizons, of windows and of a stream: both count.

        Bands are made as wide as they must be for those of 80 % to cover `coverage` of the dev readings, over all.
        """
        forecaster, rows = cast(ForecastingModel, model), self.series.splits["dev"]
        forecaster.widening.fill_(1.0)
        stride = self.settings.data.choice_stride
        errors = forecast_errors.choose(forecaster, self._channels, rows, self.series.protocol, stride)
        needed = forecast_errors.widening(chain(*errors.values()), self.settings.loss.coverage)
        forecaster.widening.fill_(max(needed, NARROWEST))
        ratios = {f"{name}_relative_mse": _relative_mse(found) for name, found in errors.items()}
        return {
            "relative_mse": sum(ratios.values()) / len(ratios),
            **ratios,
            "widening": float(forecaster.widening),
        }

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """The published protocol at its horizons, and the stream beside it."""
        if split == "train" or split not in self.series.splits:
            raise DataError(f"{self.name} has no {split} split, only {' and '.join(self._evaluated_splits)}")
        rows, protocol = self.series.splits[split], self.series.protocol
        forecaster = cast(ForecastingModel, model)
        figures = forecast_errors.figures(forecaster, self._channels, rows, protocol)
        if protocol.look_back is None:
            train = self.series.splits["train"]
            figures |= forecast_errors.own_unit_figures(forecaster, self._in_own_units, train, rows, protocol)
        return figures

    @cached_property
    def _in_own_units(self) -> Channels:
        readings = self.series.table.readings
        is_told = self.settings.windows.known_share > 0
        return Channels.known(readings, self.series.splits["train"]) if is_told else Channels.unknown(readings)

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Forecasts over what came, and how often readings fell below each quantile."""
        forecaster, rows = cast(ForecastingModel, model), self.series.splits[split]
        H = max(H for H in self.series.protocol.horizons if len(rows) >= H)
        forecast_plots.draw_backtest(directory / f"backtest-{split}.png", forecaster, self.series, rows, H)
        errors = forecast_errors.streamed(forecaster, self._channels, rows, H, self.series.protocol)
        forecast_plots.draw_calibration(directory / f"calibration-{split}.png", errors.calibration(), H)

    @property
    def _evaluated_splits(self) -> list[str]:
        return [split for split in self.series.splits if split != "train"]


def _relative_mse(errors: list[Errors]) -> float:
    """Mean over the horizons of MSE by that of the seasonal naive forecast."""
    figures = [each.figures() for each in errors]
    return sum(each["mse"] / each["seasonal_mse"] for each in figures) / len(figures)


def _draw_positions(loss: LossSettings, max_segments: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which segments of the horizon are trained, int64 (P,), and their weights (P,): all near ones, some far ones."""
    near = min(loss.near_segments, 1 + max_segments)
    far = 1 + max_segments - near
    drawn = torch.randperm(far, device=device)[: loss.far_segments] + near
    positions = torch.cat([torch.arange(near, device=device), drawn])
    weights = torch.ones(len(positions), device=device)
    weights[near:] = loss.far_weight * far / max(len(drawn), 1)
    return positions, weights


def _inputs(batch: Batch, S: int, max_segments: int) -> tuple[Tensor, Tensor]:
    """The whole segments of each window (N, T, S), and the segment in which each origin lies (N, E, S)."""
    segments = batch["readings"].view(len(batch["readings"]), -1, S)
    rows = torch.arange(len(segments), device=segments.device).unsqueeze(1)
    return segments[:, : -(1 + max_segments)], segments[rows, batch["ends"]]


def _targets(batch: Batch, positions: Tensor, S: int) -> tuple[Tensor, Tensor]:
    """What came, float64 (N * E, P, S), and which of it is after the origin and within the training rows."""
    grid = batch["ends"].unsqueeze(2) + positions  # (N, E, P)
    index = grid.unsqueeze(3) * S + torch.arange(S, device=positions.device)  # (N, E, P, S)
    origin = batch["ends"] * S + batch["filled"]
    is_known = (index >= origin[..., None, None]) & (index < batch["known"][:, None, None, None])
    actual = batch["readings"].gather(1, index.flatten(1)).view_as(index)
    return actual.flatten(0, 1), is_known.flatten(0, 1)


def _pinball(quantiles: Tensor, target: Tensor) -> Tensor:
    """Mean over the levels a of max(a e, (a - 1) e) with e = target - quantile, (N, P, S)."""
    levels = torch.tensor(QUANTILE_LEVELS, device=target.device)
    error = target.unsqueeze(3) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(dim=3)
