"""Random windows of the training rows: of random mixtures of channels, with random forecast origins.

A stream may start at any row and forecast after any reading, so starts, whole segments and pending readings are random.
There are few channels and seasons: mixing them into new ones keeps the model from memorising them. This is mixup (Zhang
et al. 2018) for time series, which have no labels to mix, like TSMixup (Chronos, Ansari et al. 2024). But weights are
normally distributed and scaled to norm 1, so that channels may be inverted and the scale stays.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from training.data.table import first_rows, level_and_scale
from training.settings import Section

MANY_ROWS = 4000

Rows = NDArray[np.int64]
Readings = NDArray[np.float64]


class WindowSettings(Section):
    """How windows of the training rows are drawn."""

    rows: int = Field(default=256, ge=1, description="windows in a batch")
    batches: int = Field(default=200, ge=1, description="batches in an epoch")
    short_segments: int = Field(default=4, ge=1, description="segments in a short window")
    long_segments: int = Field(default=30, ge=1, description="segments in a long window")
    long_share: float = Field(default=0.5, ge=0, le=1, description="share of batches with long windows")
    origins: int = Field(default=2, ge=1, description="forecasts made in a window, the last one at its end")
    fresh_share: float = Field(
        default=0.03, ge=0, le=1, description="share of origins within the first segment of a series"
    )
    whole_share: float = Field(default=0.4, ge=0, le=1, description="share of origins without pending readings")
    mixed_share: float = Field(default=0.7, ge=0, le=1, description="share of windows of random mixtures of channels")
    blended_share: float = Field(default=0.5, ge=0, le=1, description="share of windows that are sums of two others'")
    blend_cycle: int = Field(default=168, ge=1, description="windows are summed if a multiple of this many rows apart")
    known_share: float = Field(
        default=0.7, ge=0, le=1, description="share of windows whose typical level and scale the model is given"
    )
    least_known: int = Field(default=96, ge=1, description="readings that must be known after the window's end")


class Shape(NamedTuple):
    """Sizes of a window.

    Args:
        segment: S, readings in a segment.
        past: T, whole segments before the last origin.
        future: Segments of the longest forecast.
    """

    segment: int
    past: int
    future: int

    @property
    def length(self) -> int:
        """Number of readings in the window, the segment of the origin, and the longest forecast."""
        return (self.past + 1 + self.future) * self.segment


class Batch(NamedTuple):
    """Windows of the training rows, with E forecast origins each.

    Args:
        readings: Windows and the readings up to the longest horizon, float64 (N, (T + 1 + max_segments) * S).
        known: Number of these that lie within the training rows, int64 (N,).
        ends: Whole segments before each origin, int64 (N, E).
        filled: Pending readings at each origin, int64 (N, E).
        center: Typical level, float64 (N, 1). 0 if hidden from the model.
        unit: Typical scale, float64 (N, 1). 0 if hidden from the model.
    """

    readings: Tensor
    known: Tensor
    ends: Tensor
    filled: Tensor
    center: Tensor
    unit: Tensor


class Drawn(NamedTuple):
    """Windows without origins.

    Args:
        readings: float64 (N, length).
        starts: Row of the first reading, int64 (N,). For two blended windows, that of the later one.
        center: Typical level of the mixture of channels, float64 (N,).
        unit: Typical scale of the mixture of channels, float64 (N,).
    """

    readings: Readings
    starts: Rows
    center: Readings
    unit: Readings


def draw_windows(
    readings: Readings, segment: int, max_segments: int, windows: WindowSettings, rng: np.random.Generator
) -> Batch:
    """Draw a batch of random windows, each with random origins.

    Args:
        readings: Standardised training rows, float64 (rows, channels). NaN before the first reading of a channel.
        segment: S, readings in a segment.
        max_segments: Segments of the longest horizon.
        windows: Settings of the draw.
        rng: Random generator.
    """
    N, begins = windows.rows, first_rows(readings)
    shape = Shape(segment, _draw_past(readings, begins, segment, windows, rng), max_segments)
    last_start = len(readings) - shape.past * segment - windows.least_known
    drawn = _draw(readings, shape, last_start, windows, rng)
    is_known_channel = rng.random(N) < windows.known_share
    ends, filled = _draw_origins(N, shape, windows, rng)
    return Batch(
        readings=torch.from_numpy(drawn.readings),
        known=torch.from_numpy(len(readings) - drawn.starts),
        ends=torch.from_numpy(ends),
        filled=torch.from_numpy(filled),
        center=torch.from_numpy(np.where(is_known_channel, drawn.center, 0.0)[:, None]),
        unit=torch.from_numpy(np.where(is_known_channel, drawn.unit, 0.0)[:, None]),
    )


def _draw(
    readings: Readings, shape: Shape, last_start: int, windows: WindowSettings, rng: np.random.Generator
) -> Drawn:
    """Draw windows of channels or mixtures of channels, and blend some of them with a second window."""
    N, channels, begins = windows.rows, readings.shape[1], first_rows(readings)
    weights = _draw_channels(N, channels, windows.mixed_share, rng)
    starts = _draw_starts(np.where(weights != 0, begins, 0).max(axis=1), last_start, rng)
    drawn = _read(readings, starts, shape.length, weights)
    if windows.blended_share == 0:
        return drawn
    is_blended = rng.random(N) < windows.blended_share
    weights = _draw_channels(N, channels, float(windows.mixed_share > 0), rng)
    starts = _draw_others(starts, begins.max(), last_start, windows.blend_cycle, rng)
    return _blend(drawn, _read(readings, starts, shape.length, weights), is_blended)


def _read(readings: Readings, starts: Rows, length: int, weights: Readings) -> Drawn:
    """Read windows of mixtures of channels, with weights (N, channels), from each start on."""
    return Drawn(_read_windows(readings, starts, length, weights), starts, *_level_and_scale(readings, weights))


def _blend(some: Drawn, others: Drawn, is_blended: NDArray[np.bool_]) -> Drawn:
    """Blend windows with others of the same phase of the cycle into sums that are new to the model, but as likely."""
    return Drawn(
        np.where(is_blended[:, None], (some.readings + others.readings) / np.sqrt(2), some.readings),
        np.where(is_blended, np.maximum(some.starts, others.starts), some.starts),
        np.where(is_blended, (some.center + others.center) / np.sqrt(2), some.center),
        np.where(is_blended, np.sqrt((some.unit**2 + others.unit**2) / 2), some.unit),
    )


def _draw_past(
    readings: Readings, begins: Rows, segment: int, windows: WindowSettings, rng: np.random.Generator
) -> int:
    """Draw T, at most the number of available segments."""
    T = windows.long_segments if rng.random() < windows.long_share else windows.short_segments
    most = (len(readings) - int(begins.max()) - windows.least_known - 1) // segment
    return max(min(T, most), 1)


def _draw_starts(first: Rows, last_start: int, rng: np.random.Generator) -> Rows:
    return np.asarray(first + (rng.random(len(first)) * np.maximum(last_start - first, 1)).astype(np.int64))


def _draw_others(starts: Rows, first: int, last_start: int, cycle: int, rng: np.random.Generator) -> Rows:
    """Draw starts with the same phase of the cycle, from `first` to before `last_start`."""
    lowest = first + (starts - first) % cycle
    num_places = np.maximum((last_start - lowest + cycle - 1) // cycle, 1)
    return np.asarray(np.minimum(lowest + cycle * rng.integers(num_places), np.maximum(last_start - 1, starts)))


def _read_windows(readings: Readings, starts: Rows, length: int, weights: Readings) -> Readings:
    """Return weighted sums of the channels from each start on, (N, length), repeating the last row beyond the end."""
    index = np.minimum(starts[:, None] + np.arange(length), len(readings) - 1)
    is_single = _is_single(weights)
    rows = np.empty((len(starts), length))
    channel = weights.argmax(axis=1)
    rows[is_single] = readings[index[is_single], channel[is_single, None]]
    mixed = weights[~is_single]
    # Channels that are not in the mixture may be NaN, and 0 times NaN is NaN.
    parts = np.where(mixed[:, None] != 0, readings[index[~is_single]], 0.0)
    rows[~is_single] = np.einsum("ntc,nc->nt", parts, mixed)
    return rows


def _level_and_scale(readings: Readings, weights: Readings) -> tuple[Readings, Readings]:
    """Return the typical level and scale of each mixture of channels, (N,) each."""
    is_single = _is_single(weights)
    channel = weights.argmax(axis=1)
    # A sample of rows is enough. Every eleventh row covers all hours of the day and all days of the week.
    readings = readings[:: 11 if len(readings) > MANY_ROWS else 1]
    center, unit = (values[channel] for values in level_and_scale(readings))
    if not is_single.all():
        center[~is_single], unit[~is_single] = level_and_scale(_mixtures(readings, weights[~is_single]))
    return center, unit


def _mixtures(readings: Readings, weights: Readings) -> Readings:
    """Mix channels with weights (N, channels) to (rows, N). NaN until all channels of a mixture have begun."""
    is_missing = np.isnan(readings)
    mixed = np.where(is_missing, 0.0, readings) @ weights.T
    return np.where(is_missing.astype(np.float64) @ (weights != 0).T > 0, np.nan, mixed)


def _draw_channels(N: int, channels: int, mixed_share: float, rng: np.random.Generator) -> Readings:
    """Draw weights (N, channels): of a single channel, or of a mixture of about half of them, with norm 1."""
    single = np.eye(channels)[rng.integers(channels, size=N)]
    mixture = rng.normal(size=(N, channels)) * (rng.random((N, channels)) < 0.5)
    norm = np.linalg.norm(mixture, axis=1, keepdims=True)
    is_mixed = (rng.random((N, 1)) < mixed_share) & (norm > 0)
    return np.where(is_mixed, mixture / np.where(norm > 0, norm, 1.0), single)


def _is_single(weights: Readings) -> NDArray[np.bool_]:
    """Return which rows of weights (N, channels) are a single channel, bool (N,)."""
    return np.asarray(weights.max(axis=1) == 1.0)


def _draw_origins(N: int, shape: Shape, windows: WindowSettings, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Draw each origin's whole segments and pending readings, (N, E) each. Fresh streams have at least 2 readings."""
    size, S = (N, windows.origins), shape.segment
    ends = rng.integers(1, shape.past + 1, size=size)
    ends[:, 0] = shape.past
    filled = np.where(rng.random(size) < windows.whole_share, 0, rng.integers(S, size=size))
    is_fresh = (rng.random(size) < windows.fresh_share) & (S > 2)
    return np.where(is_fresh, 0, ends), np.where(is_fresh, rng.integers(min(2, S - 1), S, size=size), filled)
