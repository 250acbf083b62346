"""Forecasting: a stage that reads segments, and one that forecasts from the state."""

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.errors import WrongLadder
from export.recipes.recipe import MIN_ITEMS, Recipe, Stages, own_files
from export.running.rungs import Rungs, cut
from export.stages import Array, Arrays, Draw, Sizes, StagePlan, spec, state_names
from export.tracing.graphs import ForecastGraph, UnrolledGraph
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import Stage
from service.bundle.tasks import ForecastingTask, KnownChannel
from training.models.forecaster import QUANTILE_LEVELS, Decoded, Forecaster, StaticFeatures
from training.models.running_statistics import SegmentFeatures
from training.models.streaming_forecaster import StreamingForecaster
from training.models.window_forecaster import Window

ENCODE_SIZES: Sizes = (1, 4, 16)
HORIZON_SIZES: Sizes = (1, 4, 8, 15, 30)
NEVER_CHANGES = ("channel", "center", "unit")  # static features of a channel


class ForecastingRecipe(Recipe):
    """A forecaster of channels."""

    pattern = "many to many, ahead"
    endpoint = "/forecast"
    headline = ("mse_l96_h96", "mae_l96_h96")
    caveat = "Bands are fitted to the dev rows after training: their dev coverage is in-sample."
    encode_reads: tuple[str, ...] = ()  # all of the state by default

    def purpose(self, manifest: Manifest) -> str:
        interval = cast(ForecastingTask, manifest.task).interval
        like = f", one every {interval.removeprefix('1 ')} as in {files}" if (files := own_files(manifest)) else ""
        return f"Forecasts readings of any number of channels{like}, with quantiles, at any moment."

    def cell(self, model: nn.Module) -> str:
        return "gru"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        forecaster = cast(Forecaster, model)
        state, segment, longest = state_names(model), forecaster.segment, forecaster.max_segments
        writes = tuple(name for name in state if name not in NEVER_CHANGES)
        reads = self.encode_reads or state
        ahead = sizes.get("forecast", (*(size for size in HORIZON_SIZES if size < longest), longest))
        if any(size > longest for size in ahead):
            raise WrongLadder(f"rungs of forecast must be 1 to {longest}, the model's longest, not {list(ahead)}")
        encode = StagePlan(
            name="encode",
            sizes=sizes.get("encode", ENCODE_SIZES),
            inputs=(spec("x", "float64", "N", "T", segment),),
            outputs=(),
            reads=reads,
            writes=writes,
            build=lambda _: UnrolledGraph(model, reads, (), writes),
            draw=partial(_draw_segments, segment),
        )
        forecast = StagePlan(
            name="forecast",
            sizes=ahead,
            inputs=(spec("partial", "float64", "N", segment), spec("filled", "int64", "N")),
            outputs=(
                spec("mean", "float64", "N", "T", segment),
                spec("quantiles", "float64", "N", "T", segment, len(QUANTILE_LEVELS)),
            ),
            reads=state,
            writes=(),
            build=lambda M: ForecastGraph(model, M),
            draw=partial(_draw_unfinished, segment),
            fit="covering",
        )
        return encode, forecast

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> ForecastingTask:
        forecaster = cast(Forecaster, model)
        (forecast,) = (stage for stage in stages if stage.name == "forecast")
        known = zip(forecaster.channels, forecaster.centers.tolist(), forecaster.units.tolist(), strict=True)
        return ForecastingTask(
            segment=forecaster.segment,
            season=forecaster.seasonality.season if isinstance(forecaster, StreamingForecaster) else None,
            look_back=forecaster.look_back,
            interval=forecaster.interval,
            quantiles=QUANTILE_LEVELS,
            max_horizon=max(forecast.sizes) * forecaster.segment,
            channels=tuple(KnownChannel(name=name, center=center, unit=unit) for name, center, unit in known),
        )

    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        segment = cast(ForecastingTask, bundle.manifest.task).segment
        return partial(_draw_unfinished if stage.name == "forecast" else _draw_segments, segment)

    def compare(self, model: nn.Module, rungs: Rungs, rng: np.random.Generator, N: int) -> tuple[Arrays, Arrays]:
        """Compare the longest forecasts, relative to the latest reading and in units of the scale.

        Rows are an unknown channel and all known ones, at least N. Each ends with another number of pending readings.
        Their figures are measured by the functions that are exported, which share most of `forward`.
        """
        forecaster = cast(Forecaster, model)
        encode, forecast = rungs.stages["encode"], rungs.stages["forecast"]
        M, S, C = max(forecast.sizes), forecaster.segment, len(forecaster.channels)
        T = max(sum(encode.sizes), (forecaster.look_back or 0) // S, MIN_ITEMS)
        N = max(N, 1 + C)
        channels = [("", *forecaster.channels)[row % (1 + C)] for row in range(N)]
        known = StaticFeatures(*map(torch.cat, zip(*map(forecaster.static_features, channels), strict=True)))
        x = _at_level(torch.from_numpy(encode.draw(rng, N, T + 1)["x"]), known)
        filled = torch.arange(N) % S
        state = {
            name: values if name not in NEVER_CHANGES else known._asdict()[name].numpy()
            for name, values in rungs.initial_state(N).items()
        }
        state = rungs.run_cut(encode, {"x": x[:, :T].numpy()}, state, cut(encode.sizes, T)).state
        ahead = rungs.run(forecast, M, {"partial": x[:, T].numpy(), "filled": filled.numpy()}, state).outputs
        decoded, features = self.forward(forecaster, x, filled, known, M)
        last, scale = features.last.numpy(), features.scale.numpy()
        found = {name: (values.reshape(N, -1) - last) / scale for name, values in ahead.items()}
        return found, {name: values.flatten(1).numpy() for name, values in decoded._asdict().items()}

    def forward(
        self, model: Forecaster, x: Tensor, filled: Tensor, known: StaticFeatures, M: int
    ) -> tuple[Decoded, SegmentFeatures | Window]:
        """Forecast M segments after `filled`, int64 (N,), readings of the last of the segments x, float64 (N, T, S)."""
        N, T, S = x.shape
        ends, positions = torch.full((N, 1), T - 1), torch.arange(M + 1)  # the unfinished segment, and those after it
        forecasts: tuple[Decoded, SegmentFeatures] = model(
            x[:, :-1], x[:, -1:], filled.unsqueeze(1), ends, positions, positions, known
        )
        decoded, features = forecasts
        rows, places = torch.arange(N).unsqueeze(1), filled.unsqueeze(1) + torch.arange(M * S)
        return Decoded(*(values.flatten(1, 2)[rows, places] for values in decoded)), features

    def error_units(self, state: Arrays, N: int) -> NDArray[np.float64]:
        """Return the scale of each channel: its running one, or that of its window."""
        if "window" in state:
            scale = np.abs(state["window"] - state["window"].mean(axis=1, keepdims=True)).mean(axis=1)
        else:
            scale = state["scale"][:, 0]
        return np.where(scale > 0, scale, 1.0)


class WindowRecipe(ForecastingRecipe):
    """A window forecaster: reading segments only shifts its window."""

    encode_reads = ("window", "seen")

    def forward(
        self, model: Forecaster, x: Tensor, filled: Tensor, known: StaticFeatures, M: int
    ) -> tuple[Decoded, SegmentFeatures | Window]:
        N, T, S = x.shape
        L = cast(int, model.look_back)
        rows, latest = torch.arange(N).unsqueeze(1), (T - 1) * S - L + filled.unsqueeze(1) + torch.arange(L)
        ahead = torch.arange(M)
        forecasts: tuple[Decoded, Window] = model(x.flatten(1)[rows, latest], known, ahead, ahead)
        return forecasts


def _draw_readings(segment: int, rng: np.random.Generator, N: int, T: int) -> Array:
    """Draw segments of N channels, float64 (N, T, S). Each channel always has the same level, amplitude and phase."""
    level, amplitude, phase = np.random.default_rng(0).normal(size=(N, 3)).T.reshape(3, N, 1, 1)
    wave = np.sin(2 * np.pi * (np.arange(segment) / segment + phase))
    return np.asarray(100 * level + np.exp(2 * amplitude) * (wave + 0.3 * rng.standard_normal((N, T, segment))))


def _at_level(x: Tensor, known: StaticFeatures) -> Tensor:
    """Move the readings x, float64 (N, T, S), of known channels to their typical level and scale."""
    relative = x - x.mean(dim=(1, 2), keepdim=True)
    unit, center = known.unit.unsqueeze(2), known.center.unsqueeze(2)
    return torch.where(unit > 0, center + unit * relative / relative.abs().mean(dim=(1, 2), keepdim=True), x)


def _draw_segments(segment: int, rng: np.random.Generator, N: int, T: int) -> Arrays:
    return {"x": _draw_readings(segment, rng, N, T)}


def _draw_unfinished(segment: int, rng: np.random.Generator, N: int, _: int) -> Arrays:
    return {"partial": _draw_readings(segment, rng, N, 1)[:, 0], "filled": rng.integers(segment, size=N)}


RECIPE = ForecastingRecipe()
WINDOW = WindowRecipe()
