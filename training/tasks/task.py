"""The interface between a task and the training loop. The loop knows nothing else about tasks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from tokenizers import Tokenizer
from torch import Tensor, nn

from training.data.source import DataSource
from training.settings import Settings

# Tensors nested in tuples, lists and dicts, each with the batch rows on axis 0; see torch.utils._pytree.
Batch = Any
Carry = Any

NOT_PREDICTED = -100  # a target to ignore, such as padding: cross_entropy's default ignore_index

TaskSettings = TypeVar("TaskSettings", bound=Settings)


@dataclass(frozen=True)
class Goal:
    """The monitored dev figure, which selects the best checkpoint and stops a run early.

    Args:
        metric: Name of a figure that `Task.validate` returns.
        better: Whether "lower" or "higher" values are better.
        tie_breaker: Name of a loss that breaks ties: of epochs with the same value, the one with the lower loss is
            better. If None, the earlier one is.
    """

    metric: str
    better: Literal["lower", "higher"]
    tie_breaker: str | None = None

    def is_better(self, figures: Mapping[str, float], best: Mapping[str, float] | None) -> bool:
        """Whether `figures` beat the best dev figures so far. NaN never does."""
        value = figures[self.metric]
        if best is None:
            return value == value
        if self.tie_breaker is not None and value == best[self.metric]:
            return figures[self.tie_breaker] < best[self.tie_breaker]
        return value < best[self.metric] if self.better == "lower" else value > best[self.metric]


class Task(ABC, Generic[TaskSettings]):
    """Data, model, loss and metrics of a training.

    A task is cheap to create: data are loaded at first use, so a checkpoint can be opened without them. To add a task,
    derive from this class or from `TextTask`, and list it in `training.tasks.registry`.

    Args:
        settings: This task's settings.
        tokenizer: Tokenizer of a checkpoint, for a `TextTask`.

    Attributes:
        name: Name of the task, in the registry, checkpoints and training/configs.
        settings_type: Class of `settings`.
        sources: The data sets that the task trains on.
        goal: The figure that chooses the best epoch.
        throughput_unit: What the training speed counts, in the singular: "word", "reading".
        units: Units of the plotted metrics: "train_loss", and dev figures as "dev_<name>".
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]]
    sources: tuple[DataSource, ...]
    goal: Goal
    throughput_unit: ClassVar[str]
    units: ClassVar[dict[str, str]]

    def __init__(self, settings: TaskSettings, tokenizer: Tokenizer | None = None) -> None:
        self.settings = settings
        self._tokenizer = tokenizer

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer. None if this is not a `TextTask`."""
        return self._tokenizer

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Build a model with random weights, drawn from torch's global generator.

        Returns:
            A `StreamingModel` or a `StagedModel`, so that it can be exported.
        """

    def initialise(self, model: nn.Module) -> None:
        """Set, in place, weights and buffers that do not start at random, such as word vectors.

        Not called for a resumed run, whose weights are restored.
        """

    def learning_rate_scale(self, name: str) -> float:
        """Return the learning-rate factor of the parameter `name`. 0 freezes it."""
        return 1.0

    @abstractmethod
    def batches_per_epoch(self) -> int:
        """Return the number of batches that `train_batches` yields."""

    @abstractmethod
    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch. They depend only on the settings and `epoch`, so that a run can be resumed."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, carry: Carry) -> tuple[Tensor, Carry]:
        """Compute the loss of a batch.

        Call `model(...)`, not its methods, so that the call passes through Fabric's wrapper.

        Args:
            model: The model, in training mode.
            batch: A batch of `train_batches`, on the model's device. With several processes, each gets some rows.
            carry: State carried over from the previous batch. None for the first batch of an epoch.

        Returns:
            The loss, and the state for the next batch, which the loop detaches (truncated BPTT). None to carry nothing.
        """

    @abstractmethod
    def count_items(self, batch: Batch) -> int:
        """Return the number of items in a batch, without padding."""

    def loss_weight(self, rows: Batch, batch: Batch) -> float:
        """Return the weight of some rows' loss in the loss of their whole batch, for several processes.

        By default their share of the items, which is right for a mean over items. Return 1 for a loss that is a sum.
        """
        return self.count_items(rows) / max(self.count_items(batch), 1)

    @abstractmethod
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure a model on a split.

        Args:
            model: The model, in evaluation mode, under no_grad.
            split: "dev" or "test".

        Returns:
            Figures by name.

        Raises:
            DataError: There is no such split, or its file is missing.
        """

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure a model on the dev split. Called after each epoch, under no_grad.

        May fit buffers that the loss does not train, on the dev split.

        Returns:
            Figures by name, including the goal's metric. By default all figures of `evaluate`.
        """
        return self.evaluate(model, "dev")

    def verdict(self, figures: Mapping[str, float]) -> str:
        """Sum up figures of `evaluate` in a sentence. Empty if they speak for themselves."""
        return ""

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw plots of a split into a directory. Arguments as in `evaluate`."""


class TextTask(Task[TaskSettings]):
    """A task on texts. Its tokenizer comes from a checkpoint, or is built from the training data."""

    @abstractmethod
    def build_tokenizer(self) -> Tokenizer:
        """Build a tokenizer from the training data."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, built from the training data at first use if the task was created without one."""
        if self._tokenizer is None:
            self._tokenizer = self.build_tokenizer()
        return self._tokenizer
