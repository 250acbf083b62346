"""The interface of all served models: named state tensors, and an unrolled pass that carries them.

A bundle's graphs, its manifest and session records use these names. This module does not know the tasks.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]
Direction = Literal["forward", "backward"]


@dataclass(frozen=True)
class StateTensor:
    """One recurrent tensor of a session. The graph's input is called `name`, its output `name`_next.

    Args:
        name: Name in the graph and in the session's record, for instance "h".
        dtype: "float32", "float64" or "int64".
        shape: Axis sizes, with the batch axis written "N": (2, "N", 256).
        initial: The value of all elements in a fresh session.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    initial: float = 0.0

    def allocate(self, N: int, device: torch.device | None = None) -> Tensor:
        """Return the tensor for N fresh sessions."""
        sizes = [N if isinstance(size, str) else size for size in self.shape]
        return torch.full(sizes, self.initial, dtype=getattr(torch, self.dtype), device=device)


class StatefulModule(nn.Module):
    """Base of this package's models: makes initial states as `state` declares them.

    Attributes:
        state: The recurrent tensors.
    """

    state: tuple[StateTensor, ...]

    def initial_state(self, N: int) -> Tensors:
        """Return the state of N fresh sequences, by name, on the device of the weights."""
        device = next(self.parameters()).device
        return {tensor.name: tensor.allocate(N, device) for tensor in self.state}


class StreamingModel(Protocol):
    """A model whose sequences may arrive in pieces: its state holds all that it needs of the past."""

    @property
    def state(self) -> tuple[StateTensor, ...]:
        """The recurrent tensors, in the order of the graph's inputs."""

    def initial_state(self, N: int) -> Tensors:
        """Return the state of N fresh sessions, by name."""

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by all T items of `x` (N, T, ...), step by step.

        Returns:
            Outputs and the next state, by name.
        """


class Pass(NamedTuple):
    """One direction of a layer over a sequence, exported as its own stage.

    Attributes:
        name: Name of the stage.
        direction: A backward pass reads the items in reverse, so it needs all of them.
        layer: Counted from 1. The first reads the items, the others read both directions of the layer below.
    """

    name: str
    direction: Direction
    layer: int = 1


def passes_of_layer(layer: int) -> tuple[Pass, Pass]:
    """Return both directions of a layer, which is counted from 1."""
    return Pass(f"forward{layer}", "forward", layer), Pass(f"backward{layer}", "backward", layer)


def passes_by_name(layers: int) -> dict[str, Pass]:
    """Return both directions of all layers, in the order in which a sequence passes through them."""
    return {each.name: each for layer in range(1, layers + 1) for each in passes_of_layer(layer)}


class StagedModel(Protocol):
    """A model with several stages, such as the two directions of each layer."""

    @property
    def state(self) -> tuple[StateTensor, ...]:
        """The recurrent tensors of all stages."""

    def initial_state(self, N: int) -> Tensors:
        """Return the state before the first item, by name."""

    def unroll_stage(self, stage: str, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """Run all T items of the inputs (N, T, ...) through a stage, step by step.

        Args:
            stage: Name of the stage.
            inputs: Inputs of the stage, by name.
            state: State tensors of the stage, by name.

        Returns:
            Outputs (N, T, ...) and next state tensors of the stage, by name.
        """


def by_step(rows: Tensor, T: int) -> Tensor:
    """Reshape rows (T * N, ...), ordered by step, to (T, N, ...)."""
    return rows.view(T, -1, *rows.shape[1:])
