"""Artificial problems whose answer lies far back: adding and copying. Endless, drawn from a generator."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, mse_loss, one_hot

Batch = tuple[Tensor, Tensor]


class Problem(ABC):
    """Sequences, and targets of their last steps.

    Args:
        T: Difficulty: the number of steps, or of blanks for copying.
        length: Steps of a sequence.
        input_size: C of real inputs, or the number of tokens where `is_token`.
        output_size: Number of outputs at each answered step.
        scored_steps: Number of last steps whose outputs count for the error.
        answer_steps: Number of last steps whose answers need the past. Gradients are measured of their loss.
        baseline: Error of the best answer that ignores the input. None if it is not known.
        solved: Error below which the problem counts as solved. None if there is none.
        is_token: Whether inputs are token ids.
        unit: Unit of the error.
    """

    unit: str
    is_token = False
    baseline: float | None = None
    solved: float | None = None

    def __init__(
        self, T: int, *, length: int, input_size: int, output_size: int, scored_steps: int = 1, answer_steps: int = 1
    ) -> None:
        self.T = T
        self.length = length
        self.input_size = input_size
        self.output_size = output_size
        self.scored_steps = scored_steps
        self.answer_steps = answer_steps

    @abstractmethod
    def draw(self, N: int, generator: Generator) -> Batch:
        """Draw N sequences on the generator's device.

        Returns:
            x: Inputs, float32 (N, length, C), or token ids, int64 (N, length).
            y: Targets of the last `scored_steps` outputs, float32 (N, steps, outputs), or classes, int64 (N, steps).
        """

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean over rows and steps of the cross entropy in nats for classes, or else of the squared error.

        Args:
            outputs: (N, steps, outputs).
            y: As `draw` returns it, of the same steps.
        """
        if y.is_floating_point():
            return mse_loss(outputs, y)
        return cross_entropy(outputs.flatten(0, 1), y.flatten())


class Adding(Problem):
    """Add up the two marked ones of T numbers (Hochreiter and Schmidhuber 1997, section 5.4).

    In the form of Arjovsky et al. (2016, arXiv:1511.06464, section 4.2): inputs are numbers drawn uniformly from [0, 1)
    and marks; one mark lies in each half, and the sum is asked after the last step. To answer 1 always has the error
    1/6, the variance of the sum of two such numbers.
    """

    unit = "MSE"
    baseline = 1 / 6
    solved = 1e-3

    def __init__(self, T: int) -> None:
        if T < 2:
            raise ValueError(f"adding needs at least 2 steps, not {T}")
        super().__init__(T, length=T, input_size=2, output_size=1)

    def draw(self, N: int, generator: Generator) -> Batch:
        """x (N, T, 2) holds numbers and marks, y (N, 1, 1) the sums."""
        device, half = generator.device, self.T // 2
        numbers = torch.rand(N, self.T, generator=generator, device=device)
        first = torch.randint(half, (N, 1), generator=generator, device=device)
        second = torch.randint(half, self.T, (N, 1), generator=generator, device=device)
        marks = torch.zeros_like(numbers).scatter_(1, torch.cat([first, second], dim=1), 1.0)
        return torch.stack([numbers, marks], dim=2), (numbers * marks).sum(dim=1).view(N, 1, 1)


class Copying(Problem):
    """Say ten symbols again, T blanks after they were read (Hochreiter and Schmidhuber 1997; Arjovsky et al. 2016).

    Of 10 categories, 0 is the blank, 1 to 8 are symbols and 9 is the sign to begin. A sequence is 10 symbols, T - 1
    blanks, the sign, and 10 blanks; what is wanted is T + 10 blanks and then the symbols. The error is the mean cross
    entropy of all T + 20 steps: blanks and then any of 8 symbols at random costs 10 ln 8 / (T + 20).
    """

    unit = "cross entropy, nats"
    SYMBOLS = 8
    COPIED = 10

    def __init__(self, T: int) -> None:
        if T < 1:
            raise ValueError(f"copying needs at least 1 blank, not {T}")
        length, categories = T + 2 * self.COPIED, self.SYMBOLS + 2
        super().__init__(
            T,
            length=length,
            input_size=categories,
            output_size=categories,
            scored_steps=length,
            answer_steps=self.COPIED,
        )
        self.baseline = self.COPIED * math.log(self.SYMBOLS) / length
        self.solved = self.baseline / 20

    def draw(self, N: int, generator: Generator) -> Batch:
        """x (N, T + 20, 10) is one-hot, y (N, T + 20) holds categories."""
        symbols = torch.randint(1, self.SYMBOLS + 1, (N, self.COPIED), generator=generator, device=generator.device)
        x = torch.zeros(N, self.length, dtype=torch.int64, device=generator.device)
        x[:, : self.COPIED] = symbols
        x[:, -self.COPIED - 1] = self.SYMBOLS + 1
        y = torch.zeros_like(x)
        y[:, -self.COPIED :] = symbols
        return one_hot(x, self.input_size).float(), y
