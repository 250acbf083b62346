"""Forecasting: the next days of ETTh1, from any moment of a stream."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from training.data import etth1
from training.data.source import DataError
from training.models.forecasting import MAX_SEGMENTS, QUANTILE_LEVELS, ForecastingModel, ForecastingModelSettings
from training.models.profile import SEGMENT
from training.settings import LoopSettings, Section, Settings
from training.tasks import forecast_errors
from training.tasks.task import Goal, Task

WEEK = 7 * 24

Batch = dict[str, Tensor]


class WindowSettings(Section):
    """Which windows of the training rows are drawn."""

    rows: int = Field(default=256, ge=1, description="windows a batch")
    batches: int = Field(default=200, ge=1, description="batches an epoch")
    short_segments: int = Field(default=4, ge=1, description="segments of a short window")
    long_segments: int = Field(default=30, ge=1, description="segments of a long window")
    long_share: float = Field(default=0.5, ge=0, le=1, description="share of batches with long windows")
    origins: int = Field(default=2, ge=1, description="forecasts a window, the last one at its end")
    fresh_share: float = Field(default=0.03, ge=0, le=1, description="share of origins within the very first segment")
    whole_share: float = Field(default=0.4, ge=0, le=1, description="share of origins without pending readings")
    mixed_share: float = Field(default=0.7, ge=0, le=1, description="share of windows of random mixtures of channels")
    blended_share: float = Field(default=0.5, ge=0, le=1, description="share of windows that are sums of two weeks'")
    least_known: int = Field(default=96, ge=24, description="readings known after the window's end")


class LossSettings(Section):
    """What is asked of a forecast."""

    near_segments: int = Field(default=5, ge=1, description="segments from the origin that are always trained")
    far_segments: int = Field(default=3, ge=1, description="later segments, drawn for each batch")
    far_weight: float = Field(default=0.3, gt=0, description="weight of a later segment")
    quantile_segments: int = Field(default=2, ge=1, description="segments whose quantiles are trained, drawn a batch")
    point_weight: float = Field(default=1.0, gt=0)
    huber_delta: float = Field(default=1.0, gt=0, description="standardised error from which the loss is linear")


class ForecastingSettings(Settings):
    """Settings of a run."""

    loop: LoopSettings = LoopSettings()
    model: ForecastingModelSettings = ForecastingModelSettings()
    windows: WindowSettings = WindowSettings()
    loss: LossSettings = LossSettings()


class ForecastingTask(Task[ForecastingSettings]):
    """A forecaster of ETTh1 that streams, trained on random windows with random phases and pending readings."""

    name = "forecasting"
    settings_type = ForecastingSettings
    sources = (etth1.SOURCE,)
    goal = Goal("mse", "lower")
    units: ClassVar[dict[str, str]] = {
        "train_loss": "Huber + pinball loss, standardised readings",
        **dict.fromkeys(("dev_mse", "dev_mse_l96_h96", "dev_streamed_mse_h96"), "MSE, standardised readings"),
    }

    @cached_property
    def _readings(self) -> NDArray[np.float64]:
        """The rows of all splits on the scale of the errors, (rows, channels)."""
        table = etth1.load()
        return etth1.fit_scaler(table).standardize(table.readings)[: etth1.SPLITS["test"].stop]

    def build_model(self) -> ForecastingModel:
        """A fresh model."""
        return ForecastingModel(self.settings.model)

    def batches_per_epoch(self) -> int:
        """As set: windows are drawn at random, an epoch is only the time between two evaluations."""
        return self.settings.windows.batches

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Random windows of the training rows, see `draw_windows`."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        train = self._readings[etth1.SPLITS["train"]]
        for _ in range(self.settings.windows.batches):
            yield draw_windows(train, self.settings.windows, rng)

    def loss(self, model: nn.Module, batch: Batch, carry: None) -> tuple[Tensor, None]:
        """Huber loss of the point forecast and pinball loss of the quantiles, on the scale of the errors."""
        loss = self.settings.loss
        positions, weights = _draw_positions(loss, batch["ends"].device)
        quantile_positions = torch.randperm(len(positions), device=positions.device)[: loss.quantile_segments]
        x, partial = _inputs(batch)
        decoded, view = model(x, partial, batch["filled"], batch["ends"], positions, quantile_positions)
        actual, is_known = _targets(batch, positions)  # (N * E, P, 24)
        weights = weights.unsqueeze(1) * is_known
        target = (actual - view.last.unsqueeze(2)).float()
        scale = view.scale.unsqueeze(2).float()
        point = huber_loss(decoded.mean * scale, target, reduction="none", delta=loss.huber_delta)
        pinball = _pinball(decoded.quantiles * scale.unsqueeze(3), target[:, quantile_positions])
        quantile_weights = weights[:, quantile_positions]
        total = loss.point_weight * (point * weights).sum() / weights.sum()
        return total + (pinball * quantile_weights).sum() / quantile_weights.sum().clamp(min=1.0), carry

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Errors 96 readings ahead, after 4 days and in the stream: the goal is that both are good."""
        forecaster, rows = cast(ForecastingModel, model), etth1.SPLITS["dev"]
        windowed = forecast_errors.windowed(forecaster, self._readings, rows, 96)["mse"]
        streamed = forecast_errors.streamed(forecaster, self._readings, rows, 96, phases=(0, 11))["mse"]
        return {"mse": (windowed + streamed) / 2, "mse_l96_h96": windowed, "streamed_mse_h96": streamed}

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """The published protocol at four horizons, and the stream beside it."""
        if split not in {"dev", "test"}:
            raise DataError(f"{self.name} has no {split} split, only dev and test")
        return forecast_errors.figures(cast(ForecastingModel, model), self._readings, etth1.SPLITS[split])


def draw_windows(readings: NDArray[np.float64], windows: WindowSettings, rng: np.random.Generator) -> Batch:
    """Random windows, each with random origins.

    A stream may start at any row and be asked at any reading, so starts, whole segments and pending readings are
    random. Mixing channels, and weeks, which are few, into new ones keeps the model from learning these by heart.

    Returns:
        readings: Window and all that follows up to the longest horizon, float64 (N, (T + 31) * 24).
        known: How many of these lie within the training rows, int64 (N,).
        ends: Whole segments before each origin, int64 (N, E).
        filled: Pending readings at each origin, int64 (N, E).
    """
    N, T = windows.rows, windows.long_segments if rng.random() < windows.long_share else windows.short_segments
    last_start = len(readings) - T * SEGMENT - windows.least_known
    starts = rng.integers(last_start, size=N)
    length = (T + 1 + MAX_SEGMENTS) * SEGMENT
    rows = _read_windows(readings, starts, length, _draw_channels(N, readings.shape[1], windows.mixed_share, rng))
    # Two windows at the same hour of the week add up to one that was never seen, and is as likely.
    others = starts % WEEK + WEEK * rng.integers((last_start - starts % WEEK + WEEK - 1) // WEEK)
    other_rows = _read_windows(readings, others, length, _draw_channels(N, readings.shape[1], 1.0, rng))
    is_blended = rng.random(N) < windows.blended_share
    rows = np.where(is_blended[:, None], (rows + other_rows) / np.sqrt(2), rows)
    known = len(readings) - np.where(is_blended, np.maximum(starts, others), starts)
    ends, filled = _draw_origins(N, T, windows, rng)
    return {
        "readings": torch.from_numpy(rows),
        "known": torch.from_numpy(known),
        "ends": torch.from_numpy(ends),
        "filled": torch.from_numpy(filled),
    }


def _read_windows(
    readings: NDArray[np.float64], starts: NDArray[np.int64], length: int, channels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted sums of the channels from each start on, (N, length); the last row is repeated behind the end."""
    index = np.minimum(starts[:, None] + np.arange(length), len(readings) - 1)
    return np.asarray(np.einsum("ntc,nc->nt", readings[index], channels))


def _draw_channels(N: int, channels: int, mixed_share: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Weights of the channels (N, channels): one of them, or a mixture of about half of them with norm 1."""
    single = np.eye(channels)[rng.integers(channels, size=N)]
    mixture = rng.normal(size=(N, channels)) * (rng.random((N, channels)) < 0.5)
    mixture /= np.linalg.norm(mixture, axis=1, keepdims=True) + 1e-3
    is_mixed = rng.random((N, 1)) < mixed_share
    return np.where(is_mixed, mixture, single)


def _draw_origins(
    N: int, T: int, windows: WindowSettings, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole segments and pending readings of each origin, (N, E); a fresh stream has at least 2 readings."""
    shape = (N, windows.origins)
    ends = rng.integers(1, T + 1, size=shape)
    ends[:, 0] = T
    filled = np.where(rng.random(shape) < windows.whole_share, 0, rng.integers(SEGMENT, size=shape))
    is_fresh = rng.random(shape) < windows.fresh_share
    return np.where(is_fresh, 0, ends), np.where(is_fresh, rng.integers(2, SEGMENT, size=shape), filled)


def _draw_positions(loss: LossSettings, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which segments of the horizon are trained, int64 (P,), and their weights (P,): all near ones, some far ones."""
    far = 1 + MAX_SEGMENTS - loss.near_segments
    drawn = torch.randperm(far, device=device)[: loss.far_segments] + loss.near_segments
    positions = torch.cat([torch.arange(loss.near_segments, device=device), drawn])
    weights = torch.ones(len(positions), device=device)
    weights[loss.near_segments :] = loss.far_weight * far / loss.far_segments
    return positions, weights


def _inputs(batch: Batch) -> tuple[Tensor, Tensor]:
    """The whole segments of each window (N, T, 24), and the segment in which each origin lies (N, E, 24)."""
    segments = batch["readings"].view(len(batch["readings"]), -1, SEGMENT)
    rows = torch.arange(len(segments), device=segments.device).unsqueeze(1)
    return segments[:, : -(1 + MAX_SEGMENTS)], segments[rows, batch["ends"]]


def _targets(batch: Batch, positions: Tensor) -> tuple[Tensor, Tensor]:
    """What came, float64 (N * E, P, 24), and which of it is after the origin and within the training rows."""
    grid = batch["ends"].unsqueeze(2) + positions  # (N, E, P)
    hours = torch.arange(SEGMENT, device=positions.device)
    index = grid.unsqueeze(3) * SEGMENT + hours  # (N, E, P, 24)
    origin = batch["ends"] * SEGMENT + batch["filled"]
    is_known = (index >= origin[..., None, None]) & (index < batch["known"][:, None, None, None])
    actual = batch["readings"].gather(1, index.flatten(1)).view_as(index)
    return actual.flatten(0, 1), is_known.flatten(0, 1)


def _pinball(quantiles: Tensor, target: Tensor) -> Tensor:
    """Mean over the levels a of max(a e, (a - 1) e) with e = target - quantile, (N, P, 24)."""
    levels = torch.tensor(QUANTILE_LEVELS, device=target.device)
    error = target.unsqueeze(3) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(dim=3)
