"""The task forecasting: forecasts of any number of channels, at any moment of a stream."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from training.forecasts.errors import pinball
from training.forecasts.windows import Batch, WindowSettings, draw_windows
from training.models.forecaster import StaticFeatures
from training.models.streaming_forecaster import StreamingForecaster, StreamingForecasterSettings
from training.settings import Section
from training.tasks.forecaster import ForecasterSettings, ForecasterTask


class LossSettings(Section):
    """The segments of a forecast that are trained, and their weights."""

    near_segments: int = Field(default=5, ge=1, description="first segments after the origin, which are always trained")
    far_segments: int = Field(default=3, ge=0, description="number of later segments, drawn for each batch")
    far_weight: float = Field(default=0.3, gt=0, description="weight of a later segment")
    quantile_segments: int = Field(
        default=2, ge=1, description="segments whose quantiles are trained, drawn for each batch"
    )
    point_weight: float = Field(default=1.0, gt=0)
    linear_from: float = Field(default=1.0, gt=0, description="standardised error above which the loss is linear")


class ForecastingSettings(ForecasterSettings):
    """Settings of a run."""

    model: StreamingForecasterSettings = StreamingForecasterSettings()
    windows: WindowSettings = WindowSettings()
    loss: LossSettings = LossSettings()


class ForecastingTask(ForecasterTask[ForecastingSettings]):
    """A forecaster that streams, trained on random windows with random phases and pending readings."""

    name = "forecasting"
    settings_type = ForecastingSettings
    units: ClassVar[dict[str, str]] = ForecasterTask.units | {
        "train_loss": "smooth L1 + pinball loss, standardised readings"
    }

    @property
    def knows_channels(self) -> bool:
        """Whether any window comes from a known channel."""
        return self.settings.windows.known_share > 0

    def build_model(self) -> StreamingForecaster:
        """Build a model with random weights."""
        return StreamingForecaster(self.settings.model, self.channel_names, self.interval)

    def batches_per_epoch(self) -> int:
        """Return `windows.batches`. Windows are random, so an epoch is only the time between two evaluations."""
        return self.settings.windows.batches

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Yield batches of random windows of the training rows; see `draw_windows`."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        train, model = self.train_readings, self.settings.model
        for _ in range(self.settings.windows.batches):
            yield draw_windows(train, model.segment, model.max_segments, self.settings.windows, rng)

    def count_items(self, batch: Batch) -> int:
        """Count the readings in the windows, excluding those to be forecast."""
        future = (1 + self.settings.model.max_segments) * self.settings.model.segment
        return batch.readings[:, :-future].numel()

    def loss(self, model: nn.Module, batch: Batch, carry: None) -> tuple[Tensor, None]:
        """Add smooth L1 loss of the point forecast and pinball loss of the quantiles, in the units of the readings."""
        loss, (S, M) = self.settings.loss, (self.settings.model.segment, self.settings.model.max_segments)
        positions, weights = _draw_positions(loss, M, batch.ends.device)
        quantile_positions = torch.randperm(len(positions), device=positions.device)[: loss.quantile_segments]
        x, partial = _inputs(batch, S, M)
        static_features = StaticFeatures(torch.zeros_like(batch.ends[:, :1]), batch.center, batch.unit)
        decoded, features = model(x, partial, batch.filled, batch.ends, positions, quantile_positions, static_features)
        actual, is_known = _targets(batch, positions, S)  # (N * E, P, S)
        weights = weights.unsqueeze(1) * is_known
        target = (actual - features.last.unsqueeze(2)).float()
        scale = features.scale.unsqueeze(2).float()
        point = smooth_l1_loss(decoded.mean * scale, target, reduction="none", beta=loss.linear_from)
        spread = pinball(decoded.quantiles * scale.unsqueeze(3), target[:, quantile_positions])
        quantile_weights = weights[:, quantile_positions]
        total = loss.point_weight * (point * weights).sum() / weights.sum().clamp(min=1.0)
        return total + (spread * quantile_weights).sum() / quantile_weights.sum().clamp(min=1.0), carry


def _draw_positions(loss: LossSettings, max_segments: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw the segments of the horizon that are trained: all near ones, and some far ones.

    Returns:
        The segments, int64 (P,), and their weights, float32 (P,).
    """
    near = min(loss.near_segments, 1 + max_segments)
    far = 1 + max_segments - near
    drawn = torch.randperm(far, device=device)[: loss.far_segments] + near
    positions = torch.cat([torch.arange(near, device=device), drawn])
    weights = torch.ones(len(positions), device=device)
    weights[near:] = loss.far_weight * far / max(len(drawn), 1)
    return positions, weights


def _inputs(batch: Batch, S: int, max_segments: int) -> tuple[Tensor, Tensor]:
    """Return the whole segments of each window (N, T, S), and the segment in which each origin lies (N, E, S)."""
    segments = batch.readings.view(len(batch.readings), -1, S)
    rows = torch.arange(len(segments), device=segments.device).unsqueeze(1)
    return segments[:, : -(1 + max_segments)], segments[rows, batch.ends]


def _targets(batch: Batch, positions: Tensor, S: int) -> tuple[Tensor, Tensor]:
    """Return the targets of each origin.

    Returns:
        The readings of the segments, float64 (N * E, P, S), and which of them lie after the origin and within the
        training rows, bool (N * E, P, S).
    """
    grid = batch.ends.unsqueeze(2) + positions  # (N, E, P)
    index = grid.unsqueeze(3) * S + torch.arange(S, device=positions.device)  # (N, E, P, S)
    origin = batch.ends * S + batch.filled
    is_known = (index >= origin[..., None, None]) & (index < batch.known[:, None, None, None])
    actual = batch.readings.gather(1, index.flatten(1)).view_as(index)
    return actual.flatten(0, 1), is_known.flatten(0, 1)
