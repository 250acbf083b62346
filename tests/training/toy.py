"""A task small enough to train in a blink that still has all that a run must carry over an interruption."""

import signal
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from training.data.source import DataSource
from training.settings import LoopSettings, Settings
from training.tasks.task import NOT_PREDICTED, Goal, Task

BATCHES = 5


class ToySettings(Settings):
    """Settings of the toy."""

    loop: LoopSettings = LoopSettings(epochs=4, learning_rate=0.05, ema_decay=0.9, weight_decay=0.1)
    dev_errors: tuple[float, ...] = ()
    dropout: float = 0.5
    diverge: bool = False


class ToyModel(nn.Module):
    """A cell with dropout that is carried from batch to batch."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.cell = nn.RNNCell(3, 7)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(7, 1)

    def forward(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (N, 3) and h (N, 7) to predictions (N, 1) and the next h."""
        h = self.cell(x, h)
        return self.head(self.dropout(h)), h


class ToyTask(Task[ToySettings]):
    """Predicts the sum of three numbers; dev figures, interruptions and disasters can be scripted."""

    name = "toy"
    settings_type = ToySettings
    sources = (DataSource("toy", "https://example.org/toy", "0" * 64, "public domain", "nobody"),)
    goal = Goal("error", "lower")
    throughput_unit = "item"
    units: ClassVar[dict[str, str]] = {"train_loss": "squared error", "dev_error": "squared error"}

    interrupt_at: ClassVar[tuple[int, int] | None] = None  # epoch and batch at which the user presses Ctrl-C

    def __init__(self, settings: ToySettings, tokenizer: None = None) -> None:
        super().__init__(settings, tokenizer)
        self.carries: list[Tensor | None] = []

    def build_model(self) -> ToyModel:
        """A fresh model."""
        return ToyModel(self.settings.dropout)

    def batches_per_epoch(self) -> int:
        """Always the same."""
        return BATCHES

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Random numbers; presses Ctrl-C where it was told to."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        for i in range(BATCHES):
            if (epoch, i) == self.interrupt_at:
                signal.raise_signal(signal.SIGINT)
            x = torch.from_numpy(rng.standard_normal((4, 3))).float()
            yield x, x.sum(dim=1, keepdim=True)

    def count_items(self, batch: tuple[Tensor, Tensor]) -> int:
        """Numbers that are added up."""
        return batch[0].numel()

    def loss(
        self, model: nn.Module, batch: tuple[Tensor, Tensor], carry: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Mean squared error."""
        self.carries.append(carry)
        predicted, h = model(batch[0], carry)
        scale = float("nan") if self.settings.diverge else 1.0
        return ((predicted - batch[1]) ** 2).mean() * scale, h

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """The scripted figures in turn, or those of the model."""
        if self.settings.dev_errors:
            epoch = len(self.carries) // BATCHES
            return {"error": self.settings.dev_errors[max(epoch, 1) - 1]}
        x = torch.linspace(-1, 1, 21).view(7, 3)
        return {"error": float(((model(x, None)[0] - x.sum(dim=1, keepdim=True)) ** 2).mean())}


class MaskedToyTask(ToyTask):
    """Rows of which some have nothing to predict, so that processes have unlike shares; the last batch is one row."""

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As those of the toy, without the targets of all but two rows."""
        for i, (x, y) in enumerate(super().train_batches(epoch)):
            y[[1, 3] if i % 2 else [1, 2]] = NOT_PREDICTED
            yield (x, y) if i < BATCHES - 1 else (x[:1], y[:1])

    def count_items(self, batch: tuple[Tensor, Tensor]) -> int:
        """Rows with a target."""
        return int((batch[1] != NOT_PREDICTED).sum())

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor], carry: None) -> tuple[Tensor, None]:
        """Mean squared error of the rows with a target, each from no state."""
        x, y = batch
        is_predicted = y != NOT_PREDICTED
        predicted, _ = model(x, None)
        return torch.where(is_predicted, (predicted - y) ** 2, 0.0).sum() / is_predicted.sum().clamp(min=1), carry
