"""Errors of a forecaster: the published protocol beside a stream, each against what a seasonal naive forecast gets.

Windowed is the protocol of the papers: a fresh session reads L = 96 readings that end anywhere, and forecasts. Streamed
is how a forecaster is used: one session reads everything from an early row on, and forecasts at the same origins, with
whatever readings are pending there. Knows no data set; readings are (rows, channels) on the scale of the errors.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from training.models.forecasting import QUANTILE_LEVELS, ForecastingModel
from training.models.profile import SEGMENT
from training.models.streaming import Tensors

LOOK_BACK = 96
HORIZONS = (96, 192, 336, 720)
PHASES = (0, 6, 12, 18)  # rows at which streams start: their segments begin at different hours of the day
READINGS_AT_ONCE = 200_000  # forecast readings in memory, times the number of quantiles

Readings = NDArray[np.float64]


@dataclass
class Errors:
    """Sums over forecasts, from which the figures follow."""

    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, mean: Tensor, quantiles: Tensor, actual: Tensor, seasonal: Tensor) -> None:
        """Count forecasts.

        Args:
            mean: Point forecast, (N, H).
            quantiles: (N, H, Q).
            actual: What came, (N, H).
            seasonal: The last 24 readings again and again, (N, H).
        """
        error = mean - actual
        low, high = quantiles[..., QUANTILE_LEVELS.index(0.1)], quantiles[..., QUANTILE_LEVELS.index(0.9)]
        self.count += error.numel()
        self._add("mse", error.square())
        self._add("mae", error.abs())
        self._add("coverage_80", ((low <= actual) & (actual <= high)).double())
        self._add("pinball", _pinball(quantiles, actual))
        self._add("seasonal_mse", (seasonal - actual).square())
        self._add("seasonal_pinball", _pinball(seasonal.unsqueeze(2), actual))
        self._add("size", actual.abs())

    def _add(self, name: str, values: Tensor) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + float(values.double().sum())

    def figures(self) -> dict[str, float]:
        """Means over all forecast readings; wql is the quantile loss of M4 and GluonTS, 2 pinball / size."""
        figures = {name: self.sums[name] / self.count for name in ("mse", "mae", "coverage_80", "seasonal_mse")}
        figures["wql"] = 2 * self.sums["pinball"] / self.sums["size"]
        figures["seasonal_wql"] = 2 * self.sums["seasonal_pinball"] / self.sums["size"]
        return figures


def figures(model: ForecastingModel, readings: Readings, rows: range) -> dict[str, float]:
    """All figures of a split, by name."""
    found: dict[str, float] = {}
    for H in tqdm(HORIZONS, desc="evaluating", unit="horizon", leave=False, disable=None):
        window = windowed(model, readings, rows, H)
        # Every origin of a stream is asked, so each phase has every number of readings pending.
        stream = streamed(model, readings, rows, H, PHASES if H == LOOK_BACK else PHASES[:1])
        found |= {f"{name}_l{LOOK_BACK}_h{H}": window[name] for name in ("mse", "mae")}
        found |= {f"{name}_h{H}": window[name] for name in ("coverage_80", "wql", "seasonal_mse", "seasonal_wql")}
        found |= {f"streamed_{name}_h{H}": stream[name] for name in ("mse", "mae", "coverage_80", "wql")}
        found[f"windows_h{H}"] = float(len(origins(rows, H)))
    return found


def origins(rows: range, H: int) -> range:
    """The rows at which a forecast starts: all H readings lie within the split, the look-back may start before it."""
    return range(rows.start, rows.stop - H + 1)


def windowed(model: ForecastingModel, readings: Readings, rows: range, H: int) -> dict[str, float]:
    """Errors of fresh sessions that have read the last 96 readings."""
    errors = Errors()
    for origin, channel in _pieces(origins(rows, H), readings.shape[1], H):
        past = _tensor(sliding_window_view(readings, LOOK_BACK, axis=0)[origin - LOOK_BACK, channel])
        x = past.view(-1, LOOK_BACK // SEGMENT, SEGMENT)
        _, state = model.unroll(x, model.initial_state(len(x)))
        pending = torch.zeros_like(x[:, 0]), torch.zeros(len(x), dtype=torch.int64)
        _add_forecasts(errors, model, state, pending, readings, (origin, channel), H)
    return errors.figures()


def streamed(
    model: ForecastingModel, readings: Readings, rows: range, H: int, phases: tuple[int, ...]
) -> dict[str, float]:
    """Errors of sessions that have read everything since their start, at rows `phases`."""
    errors = Errors()
    for phase in phases:
        states = _states_of_stream(model, readings[phase : rows.stop])
        for origin, channel in _pieces(origins(rows, H), readings.shape[1], H):
            segment, filled = np.divmod(origin - phase, SEGMENT)
            state = {name: _at(states[name], name, segment, channel) for name in states}
            ahead = np.minimum(phase + segment[:, None] * SEGMENT + np.arange(SEGMENT), len(readings) - 1)
            pending = _tensor(readings[ahead, channel[:, None]]), torch.from_numpy(filled)
            _add_forecasts(errors, model, state, pending, readings, (origin, channel), H)
    return errors.figures()


def _states_of_stream(model: ForecastingModel, readings: Readings) -> Tensors:
    """The state of each channel before and after each whole segment, (segments + 1, ...) by name."""
    T = len(readings) // SEGMENT
    x = _tensor(readings[: T * SEGMENT].T).view(-1, T, SEGMENT)
    hs, profiles = model.read(x, model.initial_state(len(x)))
    parts = {name: torch.stack([getattr(profile, name) for profile in profiles]) for name in profiles[0]._fields}
    return {"h": torch.stack(hs), **parts}


def _at(values: Tensor, name: str, segment: NDArray[np.int64], channel: NDArray[np.int64]) -> Tensor:
    """The state of a channel after so many segments; h has an axis of layers."""
    chosen = values[torch.from_numpy(segment), torch.from_numpy(channel)]
    return chosen.unsqueeze(0) if name == "h" else chosen


def _pieces(starts: range, channels: int, H: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every origin with every channel, a few at a time."""
    origin, channel = np.divmod(np.arange(len(starts) * channels), channels)
    step = READINGS_AT_ONCE // H
    for start in range(0, len(origin), step):
        yield origin[start : start + step] + starts.start, channel[start : start + step]


def _add_forecasts(
    errors: Errors,
    model: ForecastingModel,
    state: Tensors,
    pending: tuple[Tensor, Tensor],
    readings: Readings,
    where: tuple[NDArray[np.int64], NDArray[np.int64]],
    H: int,
) -> None:
    origin, channel = where
    forecast = model.forecast(state, *pending, H // SEGMENT)
    actual = _tensor(sliding_window_view(readings, H, axis=0)[origin, channel])
    day = _tensor(sliding_window_view(readings, SEGMENT, axis=0)[origin - SEGMENT, channel])
    errors.add(forecast["mean"], forecast["quantiles"], actual, day.repeat(1, H // SEGMENT))


def _pinball(quantiles: Tensor, actual: Tensor) -> Tensor:
    """Mean over the levels, (N, H)."""
    levels = torch.tensor(QUANTILE_LEVELS, dtype=actual.dtype)
    error = actual.unsqueeze(2) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(dim=2)


def _tensor(readings: Readings) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(readings))
