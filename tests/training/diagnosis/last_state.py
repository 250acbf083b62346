"""A problem with a loss whose gradient is known, small enough to reckon with."""

import torch
from torch import Generator, Tensor

from training.diagnosis.problems import Batch, Problem


class LastState(Problem):
    """Random inputs; the loss is the mean over rows of the first output after the last step."""

    name = "last"
    unit = "none"

    def __init__(self, T: int, C: int = 3) -> None:
        super().__init__(T, length=T, input_size=C, output_size=1)

    def draw(self, N: int, generator: Generator) -> Batch:
        """Nothing is wanted: y is a place holder."""
        return torch.randn(N, self.T, self.input_size, generator=generator), torch.zeros(N, 1, 1)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Linear, so that its own gradient is constant."""
        return outputs.mean()
