"""Backtests of a forecaster by the published protocol and in a stream, compared with the seasonal naive forecast.

"Windowed" is the protocol of the papers: a fresh session reads the L readings before an origin, then forecasts.
"Streamed" is how a forecaster is used: one session reads everything from an early row on and forecasts at the same
origins, with the readings pending there. Does not know the data sets. Readings are (rows, channels), standardised.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from training.data.series import Protocol
from training.data.table import first_rows, level_and_scale
from training.forecasts.errors import Errors
from training.models.forecaster import Forecaster, StaticFeatures
from training.models.streaming import Tensors

READINGS_AT_ONCE = 200_000  # forecast readings in memory, times the number of quantiles

Readings = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Channels:
    """Channels to forecast.

    Args:
        readings: Standardised, float64 (rows, channels). NaN before the first reading of a channel.
        centers: Typical level of each channel, float64 (channels,).
        units: Typical scale of each channel, float64 (channels,). 0 if unknown.
        numbers: Each channel's number among those the model was trained on, from 1, int64 (channels,). 0 for others.
    """

    readings: Readings
    centers: Readings
    units: Readings
    numbers: NDArray[np.int64]

    @classmethod
    def unknown(cls, readings: Readings) -> "Channels":
        """Make channels that the model does not know."""
        nothing = np.zeros(readings.shape[1])
        return cls(readings, nothing, nothing, nothing.astype(np.int64))

    @classmethod
    def known(cls, readings: Readings, train: range) -> "Channels":
        """Make channels that the model knows, by the mean and mean absolute deviation of their training rows."""
        center, unit = level_and_scale(readings[train.start : train.stop])
        return cls(readings, center, unit, np.arange(1, len(unit) + 1))


@dataclass(frozen=True)
class Backtest:
    """Forecasts of the rows of a split.

    Args:
        model: The forecaster, in evaluation mode.
        channels: The channels to forecast.
        rows: Rows of the split. All forecast readings lie within them.
        protocol: Horizons, look-back and season of the naive forecast.
        stride: Rows between two origins.
        keeps_scores: See `Errors`.
    """

    model: Forecaster
    channels: Channels
    rows: range
    protocol: Protocol
    stride: int = 1
    keeps_scores: bool = False

    @property
    def horizons(self) -> list[int]:
        """The horizons of the protocol that are no longer than the split and the model's longest forecast."""
        longest = min(len(self.rows), self.model.max_segments * self.model.segment)
        return [H for H in self.protocol.horizons if longest >= H]

    @property
    def streams(self) -> bool:
        """Whether a stream remembers more than the protocol's window. If not, both give the same errors."""
        window, remembered = self.protocol.look_back, self.model.look_back
        return window is None or remembered is None or remembered > window

    @property
    def phases(self) -> tuple[int, ...]:
        """First rows of the streams: different ones, so that segments begin at different times of the day."""
        S = self.model.segment
        return tuple(sorted({0, S // 4, S // 2, 3 * S // 4}))

    def origins(self, H: int) -> range:
        """Return the rows at which forecasts of H readings start, one every `stride`."""
        return origins(self.rows, H)[:: self.stride]

    def windowed(self, H: int) -> Errors:
        """Compute the errors of fresh sessions that have read the last L readings.

        Raises:
            ValueError: The protocol has no look-back.
        """
        if self.protocol.look_back is None:
            raise ValueError("this protocol has no windows")
        model, channels = self.model, self.channels
        errors, S, L = Errors(self.keeps_scores), model.segment, self.protocol.look_back
        for origin, channel in _pieces(self.origins(H), channels.readings.shape[1], H):
            past = _tensor(sliding_window_view(channels.readings, L, axis=0)[origin - L, channel], model)
            x = past[:, : L - L % S].view(len(past), L // S, S)
            state = _fresh(model, channels, channel)
            if x.shape[1]:
                _, state = model.unroll(x, state)
            partial = torch.nn.functional.pad(past[:, L - L % S :], (0, S - L % S))
            pending = partial, torch.full((len(past),), L % S, device=past.device)
            self._add_forecasts(errors, state, pending, (origin, channel), H)
        return errors

    def streamed(self, H: int, phases: tuple[int, ...] = (0,)) -> Errors:
        """Compute the errors of sessions that have read everything since their first row, one of `phases` each.

        A channel that begins later is read from there on, on the same grid of segments.
        """
        model, readings = self.model, self.channels.readings
        errors, S = Errors(self.keeps_scores), model.segment
        for phase in phases:
            states = _states_of_stream(model, self.channels, phase, self.rows.stop)
            for origin, channel in _pieces(self.origins(H), readings.shape[1], H):
                segment, filled = np.divmod(origin - phase, S)
                where = torch.from_numpy(segment), torch.from_numpy(channel)
                state = {
                    tensor.name: states[tensor.name][where].movedim(0, tensor.shape.index("N"))
                    for tensor in model.state
                }
                ahead = np.minimum(phase + segment[:, None] * S + np.arange(S), len(readings) - 1)
                pending = _tensor(readings[ahead, channel[:, None]], model), _as(torch.from_numpy(filled), model)
                self._add_forecasts(errors, state, pending, (origin, channel), H)
        return errors

    def _add_forecasts(
        self, errors: Errors, state: Tensors, pending: tuple[Tensor, Tensor], where: tuple[Rows, Rows], H: int
    ) -> None:
        """Forecast channels from some origins, and add the errors."""
        model, readings, season = self.model, self.channels.readings, self.protocol.naive_season
        origin, channel = where
        forecast = model.forecast(state, *pending, -(-H // model.segment))
        actual = _tensor(sliding_window_view(readings, H, axis=0)[origin, channel], model)
        past = sliding_window_view(readings, season, axis=0)[origin - season, channel]
        seasonal = _tensor(past[:, np.arange(H) % season], model)
        errors.add(forecast["mean"][:, :H], forecast["quantiles"][:, :H], actual, seasonal)


def figures_of(backtest: Backtest, phases: tuple[int, ...] | None = None) -> dict[str, float]:
    """Return all figures of a split by name, for each of `Backtest.horizons`.

    Args:
        backtest: Backtest of the split.
        phases: First rows of the streams. If None, `Backtest.phases` for the shortest horizon, and 0 for the others.
    """
    found: dict[str, float] = {}
    horizons, L = backtest.horizons, backtest.protocol.look_back
    for H in tqdm(horizons, desc="evaluating", unit="horizon", leave=False, disable=None):
        errors: dict[str, float] = {}
        if L is not None:
            errors = backtest.windowed(H).figures()
            found |= {f"{name}_l{L}_h{H}": errors[name] for name in ("mse", "mae")}
            found |= _named(errors, ("coverage_80", "wql"), H)
        if backtest.streams:
            # All origins are used, so every phase meets every number of pending readings.
            errors = backtest.streamed(H, phases or (backtest.phases if horizons[0] == H else (0,))).figures()
            prefix = "" if L is None else "streamed_"
            found |= _named(errors, ("mse", "mae", "coverage_80", "wql"), H, prefix)
        found |= _named(errors, ("seasonal_mse", "seasonal_mae", "seasonal_wql"), H)
        found[f"windows_h{H}"] = float(len(backtest.origins(H)))
    return found


def own_unit_figures(backtest: Backtest, train: range) -> dict[str, float]:
    """Return figures of a stream on readings in their own units, as forecasting competitions measure them.

    MASE is the mean absolute error divided by that of the seasonal naive forecast one season ahead within the training
    rows (Hyndman and Koehler 2006). Channels for which that is 0 are left out. sMAPE is
    2 |error| / (|forecast| + |reading|).
    """
    scaled = _in_naive_errors(backtest, train)
    found: dict[str, float] = {}
    for H in backtest.horizons:
        raw = backtest.streamed(H).figures()
        found |= _named(raw, ("wql", "seasonal_wql", "smape", "seasonal_smape"), H)
        if scaled is not None:
            errors = scaled.streamed(H).figures()
            found |= {f"mase_h{H}": errors["mae"], f"seasonal_mase_h{H}": errors["seasonal_mae"]}
    return found


def _named(figures: Mapping[str, float], names: Iterable[str], H: int, prefix: str = "") -> dict[str, float]:
    """Select figures by name, adding prefix and horizon to their names. Missing ones are left out."""
    return {f"{prefix}{name}_h{H}": figures[name] for name in names if name in figures}


def _in_naive_errors(backtest: Backtest, train: range) -> Backtest | None:
    """Return the backtest in units of the seasonal naive forecast's error. None if that is 0 for all channels."""
    channels, m = backtest.channels, backtest.protocol.naive_season
    past = channels.readings[train.start : train.stop]
    errors = np.nanmean(np.abs(past[m:] - past[:-m]), axis=0)
    counted = errors > 0
    unit = errors[counted]
    if not unit.size:
        return None
    scaled = Channels(
        channels.readings[:, counted] / unit,
        channels.centers[counted] / unit,
        channels.units[counted] / unit,
        channels.numbers[counted],
    )
    return replace(backtest, channels=scaled)


def errors_by_kind(backtest: Backtest) -> dict[str, list[Errors]]:
    """Return the errors at each horizon, by "windowed" and "streamed", as far as protocol and model have them."""
    found: dict[str, list[Errors]] = {}
    for H in backtest.horizons:
        if backtest.streams:
            # Streams start at the second phase, so that segments do not begin with days. If a segment is one reading,
            # there is only one phase.
            found.setdefault("streamed", []).append(backtest.streamed(H, backtest.phases[:2][-1:]))
        if backtest.protocol.look_back is not None:
            found.setdefault("windowed", []).append(backtest.windowed(H))
    return found


def origins(rows: range, H: int) -> range:
    """Return the rows at which forecasts start: all H readings are within the split, the look-back need not be."""
    return range(rows.start, rows.stop - H + 1)


def _states_of_stream(model: Forecaster, channels: Channels, phase: int, stop: int) -> Tensors:
    """Return all channels' states before the first and after each segment, by name, (segments + 1, channels, ...)."""
    S = model.segment
    T = (stop - phase) // S
    begins = np.maximum(-((phase - first_rows(channels.readings)) // S), 0)  # in segments
    groups, columns = [], []
    for begin in np.unique(begins):
        chosen = np.flatnonzero(begins == begin)
        readings = channels.readings[phase + begin * S : phase + T * S, chosen]
        x = _tensor(readings.T, model).view(len(chosen), -1, S)
        states = model.states(x, _fresh(model, channels, chosen))
        stacked = {
            tensor.name: torch.stack([state[tensor.name].movedim(tensor.shape.index("N"), 0) for state in states])
            for tensor in model.state
        }
        groups.append({name: torch.cat([*[values[:1]] * begin, values]) for name, values in stacked.items()})
        columns.append(chosen)
    order = _as(torch.from_numpy(np.argsort(np.concatenate(columns))), model)
    return {name: torch.cat([group[name] for group in groups], dim=1)[:, order] for name in groups[0]}


def _fresh(model: Forecaster, channels: Channels, chosen: NDArray[np.int64]) -> Tensors:
    """Return the state of chosen channels before their first reading."""
    center, unit = (_tensor(values[chosen, None], model) for values in (channels.centers, channels.units))
    channel = _as(torch.from_numpy(channels.numbers[chosen, None]), model)
    return model.known_state(StaticFeatures(channel, center, unit))


def _pieces(starts: range, channels: int, H: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield all pairs of origin and channel, in pieces of at most READINGS_AT_ONCE forecast readings."""
    index, channel = np.divmod(np.arange(len(starts) * channels), channels)
    step = max(READINGS_AT_ONCE // H, 1)
    for start in range(0, len(index), step):
        yield starts.start + starts.step * index[start : start + step], channel[start : start + step]


def _tensor(readings: Readings, model: Forecaster) -> Tensor:
    return _as(torch.from_numpy(np.ascontiguousarray(readings)), model)


def _as(tensor: Tensor, model: Forecaster) -> Tensor:
    """Move a tensor to the model's device."""
    return tensor.to(model.widening.device)
