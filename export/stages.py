"""The planned stages of a bundle: their ladders, inputs, outputs and state.

Rungs save calls, but cost load time and disk (about 12 nodes per step of an LSTM layer).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.bundle.stage import Direction, DType, Fit, TensorSpec
from training.models.streaming import StreamingModel

# What a stage does with its size T. This decides how it is proved and how lengths are cut:
#     reads      exactly T items; a length is cut into rungs exactly
#     samples    up to T items, so that a rung does any shorter piece
#     forecasts  T segments ahead; a shorter rung gives the beginning of a longer one's
#     steps      a single step, beside an input padded to T, such as what is attended to
Kind = Literal["reads", "samples", "forecasts", "steps"]
KINDS: dict[str, Kind] = {"decode": "samples", "forecast": "forecasts"}  # of stages with covering rungs, by name

Array = NDArray[Any]
Arrays = dict[str, Array]
Sizes = tuple[int, ...]
Draw = Callable[[np.random.Generator, int, int], Arrays]  # realistic inputs for N rows and the size T


@dataclass(frozen=True)
class StagePlan:
    """The plan of a stage: how to build its graphs, and random inputs to test them.

    Args:
        name: For instance "encode".
        sizes: T of each rung.
        inputs: Inputs besides the state; "T" in a shape is the rung's size.
        outputs: Outputs besides the next state.
        reads: State tensors that are inputs, in order.
        writes: State tensors whose next value is an output, in order.
        build: Builds the graph of a size.
        draw: Draws the inputs on which parity is proved.
        fit: How lengths fit the rungs; see `Stage`.
        direction: The direction in which the stage reads; see `Stage`.
    """

    name: str
    sizes: Sizes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    build: Callable[[int], nn.Module]
    draw: Draw
    fit: Fit = "exact"
    direction: Direction = "forward"

    @property
    def kind(self) -> Kind:
        """How the stage uses its size; see `Kind`."""
        return "reads" if self.fit == "exact" else KINDS.get(self.name, "steps")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of all outputs, in order."""
        return (*(spec.name for spec in self.outputs), *(f"{name}_next" for name in self.writes))


def as_tensors(arrays: Arrays) -> dict[str, Tensor]:
    """Convert arrays to tensors that share their memory."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def spec(name: str, dtype: DType, *shape: int | str) -> TensorSpec:
    """Return the spec of a graph's tensor."""
    return TensorSpec.model_validate({"name": name, "dtype": dtype, "shape": shape})


def state_of(model: nn.Module, stage: str) -> tuple[str, ...]:
    """Return the names of the state tensors of one stage of a model. They begin with its name."""
    return tuple(name for name in state_names(model) if name.startswith(f"{stage}_"))


def state_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of all state tensors of a model, in its order."""
    return tuple(tensor.name for tensor in cast(StreamingModel, model).state)
