"""The network that is diagnosed: an optional embedding, one recurrent layer, a linear head."""

import torch
from torch import Tensor, nn

from training.diagnosis.problems import Problem
from training.diagnosis.variants import Variant
from training.recurrence import cells
from training.recurrence.cells import Cell, LSTMCell, State

EMBEDDING_SIZE = 64


class Network(nn.Module):
    """One recurrent layer for a problem.

    Args:
        variant: The recurrent layer.
        problem: Decides sizes of inputs and outputs.
        hidden_size: H.
    """

    def __init__(self, variant: Variant, problem: Problem, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(problem.input_size, EMBEDDING_SIZE) if problem.is_token else None
        self.recurrent = variant.build(EMBEDDING_SIZE if problem.is_token else problem.input_size, hidden_size)
        self.head = nn.Linear(hidden_size, problem.output_size)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        """The fused path: outputs (N, steps, outputs) of the last steps of x, (N, T, C) or token ids (N, T)."""
        hidden, _ = self.recurrent(self.embed(x))
        outputs: Tensor = self.head(hidden[:, -steps:])
        return outputs

    def embed(self, x: Tensor) -> Tensor:
        """Inputs of the recurrent layer, (N, T, C), from x."""
        return x if self.embedding is None else self.embedding(x)

    def cell(self) -> Cell:
        """A copy of the recurrent layer as a cell of this project, one step at a time."""
        return cells.cell_of(self.recurrent)


def build(variant: Variant, problem: Problem, hidden_size: int, seed: int) -> Network:
    """Build a network from a seed. The state of torch's generator is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(variant, problem, hidden_size)


def unroll(cell: Cell, inputs: Tensor) -> list[State]:
    """Run a cell over inputs (N, T, C) from a state of zeros.

    Returns:
        The T + 1 states, the initial one first. All are in autograd's graph, for gradients by any of them.
    """
    parts = 2 if isinstance(cell, LSTMCell) else 1
    # Leaves of their own: of copies of one, the gradient by h_0 would hold that by c_0.
    initial = tuple(inputs.new_zeros(len(inputs), cell.hidden_size).requires_grad_() for _ in range(parts))
    return [initial, *cells.unroll(cell, cell.project(inputs).unbind(dim=1), initial)]
