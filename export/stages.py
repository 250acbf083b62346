"""Which graphs each task is served with: stages, their ladders, inputs, outputs and state.

Rungs cost load time and disk (about 12 nodes a step of an LSTM layer), and save calls: a length is cut into rungs
exactly, so a ladder of items needs a rung of 1. Each call costs a hop to the engine's thread, which is more than the
graph itself where few rows wait: texts have every power of two, so that 13 words are 3 calls, not 6 (docs/log.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.errors import WrongLadder
from export.graphs import DecodeGraph, HeadGraph, UnrolledGraph
from service.bundle.manifest import MAX_RUNG, DType, TensorSpec
from training.models.forecasting import MAX_SEGMENTS, QUANTILE_LEVELS
from training.models.profile import SEGMENT
from training.models.streaming import StreamingModel

Array = NDArray[Any]
Arrays = dict[str, Array]
Sizes = tuple[int, ...]

# By task: the sizes T of "encode", then those of the second stage.
TEXT_SIZES: Sizes = (1, 2, 4, 8, 16, 32)
DECODE_SIZES: Sizes = (8, 16)  # 32 steps touch so many nodes that a single row is slower than with 16
FORECASTING_SIZES: Sizes = (1, 4, 16)
HORIZON_SIZES: Sizes = (1, 4, 8, 15, 30)


@dataclass(frozen=True)
class StagePlan:
    """One stage of a bundle to be: how to build its graphs and how to try them.

    Args:
        name: "encode", "decode" or "forecast".
        sizes: T of each rung.
        inputs: Inputs besides the state; "T" in a shape is the rung's size.
        outputs: Outputs besides the next state.
        reads: State tensors that are inputs, in order.
        writes: State tensors whose next value is an output, in order.
        build: The graph of a size.
        draw: Realistic inputs for N rows and the size T, to prove parity on.
    """

    name: str
    sizes: Sizes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    build: Callable[[int], nn.Module]
    draw: Callable[[np.random.Generator, int, int], Arrays]

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of all outputs, in order."""
        return (*(spec.name for spec in self.outputs), *(f"{name}_next" for name in self.writes))


def plan(task: str, model: nn.Module, sizes: dict[str, Sizes] | None = None) -> tuple[StagePlan, ...]:
    """The stages of a task.

    Args:
        task: "sentiment", "generation" or "forecasting".
        model: The prepared model (`export.weights.prepare`).
        sizes: Other ladders than the task's own, by stage.

    Raises:
        WrongLadder: The task has no such stage, a rung is not from 1 to MAX_RUNG, or single items have none.
    """
    plans = {"sentiment": _sentiment, "generation": _generation, "forecasting": _forecasting}[task]
    stages = plans(model, sizes or {})
    _check_ladders(stages, sizes or {})
    return stages


def _check_ladders(stages: tuple[StagePlan, ...], sizes: dict[str, Sizes]) -> None:
    unknown = sizes.keys() - {stage.name for stage in stages}
    if unknown:
        raise WrongLadder(f"no stage {sorted(unknown)}; there are {[stage.name for stage in stages]}")
    for stage in stages:
        if not stage.sizes or not all(1 <= size <= MAX_RUNG for size in stage.sizes):
            raise WrongLadder(f"rungs of {stage.name} must be 1 to {MAX_RUNG}, not {list(stage.sizes)}")
        if stage.name == "encode" and 1 not in stage.sizes:
            raise WrongLadder("encode needs a rung of 1: lengths are cut exactly")


def _sentiment(model: nn.Module, sizes: dict[str, Sizes]) -> tuple[StagePlan, ...]:
    state = _state_names(model)
    vocabulary_size = cast(nn.Embedding, model.embedding).num_embeddings
    classes = cast(nn.Linear, model.head).out_features
    encode = StagePlan(
        name="encode",
        sizes=sizes.get("encode", TEXT_SIZES),
        inputs=(_spec("x", "int64", "N", "T"),),
        outputs=(_spec("logits", "float32", "N", "T", classes),),
        reads=state,
        writes=state,
        build=lambda _: UnrolledGraph(model, state, ("logits",)),
        draw=lambda rng, N, T: {"x": rng.integers(vocabulary_size, size=(N, T))},
    )
    return (encode,)


def _generation(model: nn.Module, sizes: dict[str, Sizes]) -> tuple[StagePlan, ...]:
    state = _state_names(model)
    V = cast(nn.Linear, model.head).out_features
    # What a text is followed by does not depend on what was expected before it.
    reads = tuple(name for name in state if name != "pending_logits")
    encode = StagePlan(
        name="encode",
        sizes=sizes.get("encode", TEXT_SIZES),
        inputs=(_spec("x", "int64", "N", "T"),),
        outputs=(_spec("logits", "float32", "N", "T", V),),
        reads=reads,
        writes=state,
        build=lambda _: UnrolledGraph(model, reads, ("logits",)),
        draw=lambda rng, N, T: {"x": rng.integers(V, size=(N, T))},
    )
    decode = StagePlan(
        name="decode",
        sizes=sizes.get("decode", DECODE_SIZES),
        inputs=(
            _spec("uniforms", "float32", "N", "T"),
            _spec("temperature", "float32", "N"),
            _spec("top_k", "int64", "N"),
            _spec("top_p", "float32", "N"),
            _spec("remaining", "int64", "N"),
        ),
        outputs=(_spec("tokens", "int64", "N", "T"),),
        reads=state,
        writes=state,
        build=lambda K: DecodeGraph(model, K),
        draw=lambda rng, N, K: draw_sampling(rng, N, K, V),
    )
    return encode, decode


def _forecasting(model: nn.Module, sizes: dict[str, Sizes]) -> tuple[StagePlan, ...]:
    state = _state_names(model)
    encode = StagePlan(
        name="encode",
        sizes=sizes.get("encode", FORECASTING_SIZES),
        inputs=(_spec("x", "float64", "N", "T", SEGMENT),),
        outputs=(),
        reads=state,
        writes=state,
        build=lambda _: UnrolledGraph(model, state, ()),
        draw=lambda rng, N, T: {"x": draw_readings(rng, N, T)},
    )
    forecast = StagePlan(
        name="forecast",
        sizes=sizes.get("forecast", HORIZON_SIZES),
        inputs=(_spec("partial", "float64", "N", SEGMENT), _spec("filled", "int64", "N")),
        outputs=(
            _spec("mean", "float64", "N", "T", SEGMENT),
            _spec("quantiles", "float64", "N", "T", SEGMENT, len(QUANTILE_LEVELS)),
        ),
        reads=state,
        writes=(),
        build=lambda M: HeadGraph(model, M),
        draw=lambda rng, N, _: {
            "partial": draw_readings(rng, N, 1)[:, 0],
            "filled": rng.integers(SEGMENT, size=N),
        },
    )
    return encode, forecast


def max_horizon(stages: tuple[StagePlan, ...]) -> int:
    """How many readings the longest forecast rung answers, which the model limits to MAX_SEGMENTS segments."""
    (forecast,) = (stage for stage in stages if stage.name == "forecast")
    return min(max(forecast.sizes), MAX_SEGMENTS) * SEGMENT


def as_tensors(arrays: Arrays) -> dict[str, Tensor]:
    """The same numbers for torch."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _spec(name: str, dtype: DType, *shape: int | str) -> TensorSpec:
    return TensorSpec.model_validate({"name": name, "dtype": dtype, "shape": shape})


def _state_names(model: nn.Module) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in cast(StreamingModel, model).state)


def draw_sampling(rng: np.random.Generator, N: int, K: int, V: int) -> Arrays:
    """What K steps of sampling for N rows read: all kinds of settings, and rows that stop at different steps."""
    return {
        "uniforms": rng.random((N, K), dtype=np.float32),
        "temperature": rng.choice(np.array([0.0, 0.5, 1.0, 1.7], dtype=np.float32), size=N),
        "top_k": rng.choice([1, 5, V], size=N),
        "top_p": rng.choice(np.array([0.3, 0.9, 1.0], dtype=np.float32), size=N),
        "remaining": rng.integers(K + 1, size=N),
    }


def draw_readings(rng: np.random.Generator, N: int, T: int) -> Array:
    """Days of N channels, float64 (N, T, 24); each has its own level, amplitude and phase, the same in every draw."""
    level, amplitude, phase = np.random.default_rng(0).normal(size=(N, 3)).T.reshape(3, N, 1, 1)
    wave = np.sin(2 * np.pi * (np.arange(SEGMENT) / SEGMENT + phase))
    return np.asarray(100 * level + np.exp(2 * amplitude) * (wave + 0.3 * rng.standard_normal((N, T, SEGMENT))))
