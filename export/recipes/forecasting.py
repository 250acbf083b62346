"""Forecasting: a stage that reads days, and one that forecasts from the state."""

from pathlib import Path

import numpy as np
from torch import nn

from export.graphs import HeadGraph, UnrolledGraph
from export.recipes.recipe import Recipe, Stages
from export.stages import Array, Arrays, Sizes, StagePlan, spec, state_names
from service.bundle.manifest import Bundle, ForecastingTask, Stage
from training.models.forecasting import MAX_SEGMENTS, QUANTILE_LEVELS
from training.models.profile import SEGMENT

ENCODE_SIZES: Sizes = (1, 4, 16)
HORIZON_SIZES: Sizes = (1, 4, 8, 15, 30)


class ForecastingRecipe(Recipe):
    """A forecaster of channels."""

    purpose = "Forecasts hourly readings of any number of channels, with quantiles, at any moment."
    pattern = "many to many, ahead"
    endpoint = "`/forecast`, sessions"
    headline = ("mse_l96_h96", "mae_l96_h96")

    def cell(self, model: nn.Module) -> str:
        return "gru"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        state = state_names(model)
        encode = StagePlan(
            name="encode",
            sizes=sizes.get("encode", ENCODE_SIZES),
            inputs=(spec("x", "float64", "N", "T", SEGMENT),),
            outputs=(),
            reads=state,
            writes=state,
            build=lambda _: UnrolledGraph(model, state, ()),
            draw=lambda rng, N, T: {"x": draw_readings(rng, N, T)},
        )
        forecast = StagePlan(
            name="forecast",
            sizes=sizes.get("forecast", HORIZON_SIZES),
            inputs=(spec("partial", "float64", "N", SEGMENT), spec("filled", "int64", "N")),
            outputs=(
                spec("mean", "float64", "N", "T", SEGMENT),
                spec("quantiles", "float64", "N", "T", SEGMENT, len(QUANTILE_LEVELS)),
            ),
            reads=state,
            writes=(),
            build=lambda M: HeadGraph(model, M),
            draw=lambda rng, N, _: _draw_unfinished(rng, N, SEGMENT),
            fit="covering",
        )
        return encode, forecast

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> ForecastingTask:
        (forecast,) = (stage for stage in stages if stage.name == "forecast")
        max_horizon = min(max(forecast.sizes), MAX_SEGMENTS) * SEGMENT
        return ForecastingTask(segment=SEGMENT, quantiles=QUANTILE_LEVELS, max_horizon=max_horizon)

    def draw(self, bundle: Bundle, stage: Stage, rng: np.random.Generator, N: int, T: int) -> Arrays:
        if stage.name == "forecast":
            return _draw_unfinished(rng, N, int(stage.inputs[0].shape[-1]))
        return {"x": draw_readings(rng, N, T)}


def draw_readings(rng: np.random.Generator, N: int, T: int) -> Array:
    """Days of N channels, float64 (N, T, 24); each has its own level, amplitude and phase, the same in every draw."""
    level, amplitude, phase = np.random.default_rng(0).normal(size=(N, 3)).T.reshape(3, N, 1, 1)
    wave = np.sin(2 * np.pi * (np.arange(SEGMENT) / SEGMENT + phase))
    return np.asarray(100 * level + np.exp(2 * amplitude) * (wave + 0.3 * rng.standard_normal((N, T, SEGMENT))))


def _draw_unfinished(rng: np.random.Generator, N: int, segment: int) -> Arrays:
    return {"partial": draw_readings(rng, N, 1)[:, 0], "filled": rng.integers(segment, size=N)}


RECIPE = ForecastingRecipe()
