"""Plots of a forecaster: forecasts against actual readings, and the calibration of its quantiles."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.data.series import Series
from training.forecasts.backtest import Readings
from training.models.forecaster import QUANTILE_LEVELS, Forecaster
from training.plots.names import drawn, in_any_script

MAX_CHANNELS = 8
LONGEST_NAME = 60
FANS = 2  # forecasts per channel
BANDS = ((0.1, 0.9, 0.2), (0.25, 0.75, 0.3))  # from, to, opacity


def draw_backtest(path: Path, model: Forecaster, series: Series, rows: range, H: int) -> None:
    """Draw forecasts of the last readings of a split, the actual readings, and the seasonal naive forecast.

    Args:
        path: File of the picture.
        model: The forecaster. It forecasts each channel from all earlier readings.
        series: The data set.
        rows: Rows of the split.
        H: Readings of a forecast.
    """
    names = series.table.channels[:MAX_CHANNELS]
    origins = [rows.stop - i * H for i in range(FANS, 0, -1) if rows.stop - i * H >= rows.start] or [rows.start]
    repeated = "seasonal naive" if series.protocol.naive_season > 1 else "last reading"
    figure = Figure(figsize=(10, 2.6 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    at = np.array(series.times or range(len(series.table.readings)))
    for column, (axis, name) in enumerate(zip(axes, names, strict=True)):
        readings = series.table.readings[:, column]
        shown = slice(max(origins[0] - 2 * H, 0), origins[-1] + H)
        axis.plot(at[shown], readings[shown], color="black", linewidth=1, label="what came")
        for origin in origins:
            ahead = at[origin : origin + H]
            _draw_fan(axis, forecast_from(model, readings[:origin], name, H), ahead, is_first=origin == origins[0])
            season = readings[origin - series.protocol.naive_season : origin]
            naive = np.resize(season, H)
            axis.plot(
                ahead,
                naive,
                color="tab:orange",
                linestyle=":",
                linewidth=1,
                label=repeated if origin == origins[0] else None,
            )
        axis.set_title(drawn(name, LONGEST_NAME), loc="left", fontsize="medium")
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize="small", frameon=False)  # above it
    clock = f" ({series.clock.strip()})" if series.clock else ""
    of_rows = f"time{clock}" if series.times else "row"
    axes[-1].set_xlabel(f"{of_rows}, one every {model.interval.removeprefix('1 ')}")
    if series.times:
        dates = AutoDateLocator()  # type: ignore[no-untyped-call]
        as_dates = ConciseDateFormatter(dates)  # type: ignore[no-untyped-call]
        axes[-1].xaxis.set(major_locator=dates, major_formatter=as_dates)
    figure.suptitle(_title(H, len(names), len(series.table.channels)))
    with in_any_script():
        figure.savefig(path, dpi=110)


def _title(H: int, shown: int, channels: int) -> str:
    part = f", first {shown} of {channels} channels" if shown < channels else ""
    return f"Forecasts of {H} readings, with bands of 80 and 50 %{part}"


def forecast_from(model: Forecaster, past: Readings, name: str, H: int) -> dict[str, Readings]:
    """Forecast one channel from all of its past readings (rows,). Returns "mean" (H,) and "quantiles" (H, Q)."""
    S = model.segment
    past = past[~np.isnan(past)]
    device = model.widening.device
    x = torch.from_numpy(past[: len(past) - len(past) % S].reshape(1, -1, S)).to(device)
    state = model.known_state(model.static_features(name))
    if x.shape[1]:
        _, state = model.unroll(x, state)
    partial = torch.zeros(1, S, dtype=torch.float64, device=device)
    filled = len(past) % S
    partial[0, :filled] = torch.from_numpy(past[len(past) - filled :])
    forecast = model.forecast(state, partial, torch.tensor([filled], device=device), -(-H // S))
    return {kind: values[0, :H].cpu().numpy() for kind, values in forecast.items()}


def _draw_fan(axis: Axes, forecast: Mapping[str, Readings], ahead: NDArray[Any], *, is_first: bool) -> None:
    axis.plot(ahead, forecast["mean"], color="tab:blue", linewidth=1.2, label="forecast" if is_first else None)
    for low, high, opacity in BANDS:
        below, above = (forecast["quantiles"][:, QUANTILE_LEVELS.index(level)] for level in (low, high))
        axis.fill_between(ahead, below, above, color="tab:blue", alpha=opacity, linewidth=0)


def draw_calibration(path: Path, calibration: Mapping[float, float], H: int) -> None:
    """Draw the share of readings at or below each quantile over its level: calibrated ones are on the diagonal."""
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, label="calibrated")
    axis.plot(list(calibration), list(calibration.values()), marker=".", label="this model")
    axis.set(
        title=f"Quantiles of forecasts up to {H} readings ahead",
        xlabel="level of the quantile",
        ylabel="share of readings at or below it",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axis.legend()
    figure.savefig(path, dpi=110)
