"""What a task supplies to the training loop; the loop knows nothing else of it."""

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

NOT_PREDICTED = -100  # a target that does not count, such as what fills up a row: cross_entropy's own ignore_index

TaskSettings = TypeVar("TaskSettings", bound=Settings)


@dataclass(frozen=True)
class Goal:
    """The figure of the dev split that chooses the best checkpoint and stops a run early.

    Args:
        metric: A key of what `Task.evaluate` returns.
        better: Whether "lower" or "higher" values are better.
        among_equals: Another key, of a loss: where values are equal, the lower loss is better. None takes the first.
    """

    metric: str
    better: Literal["lower", "higher"]
    among_equals: str | None = None

    def is_better(self, figures: Mapping[str, float], best: Mapping[str, float] | None) -> bool:
        """Whether figures of the dev split beat the best ones so far; a NaN never does."""
        value = figures[self.metric]
        if best is None:
            return value == value
        if self.among_equals is not None and value == best[self.metric]:
            return figures[self.among_equals] < best[self.among_equals]
        return value < best[self.metric] if self.better == "lower" else value > best[self.metric]


class Task(ABC, Generic[TaskSettings]):
    """Data, model, loss and metric of one kind of work.

    A task is cheap to make: data are loaded when they are first asked for, so that a checkpoint opens without them.

    Args:
        settings: This task's settings.
        tokenizer: The tokenizer of a checkpoint, of a `TextTask`.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]]
    sources: tuple[DataSource, ...]
    goal: Goal
    item: ClassVar[str]  # what speed is told in, in the singular
    units: ClassVar[dict[str, str]]  # of train_loss and of the figures that are plotted, as dev_<name>

    def __init__(self, settings: TaskSettings, tokenizer: Tokenizer | None = None) -> None:
        self.settings = settings
        self._tokenizer = tokenizer

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Text to ids; None for tasks on numbers."""
        return self._tokenizer

    @abstractmethod
    def build_model(self) -> nn.Module:
        """A freshly initialised model, a `StreamingModel`; its randomness is torch's global generator."""

    def initialise(self, model: nn.Module) -> None:
        """Give the model of a new run what it does not learn from this task's data, such as word vectors."""

    def learning_rate_scale(self, name: str) -> float:
        """By how much a parameter learns slower (below 1) than the others, or not at all (0)."""
        return 1.0

    @abstractmethod
    def batches_per_epoch(self) -> int:
        """How many batches `train_batches` yields."""

    @abstractmethod
    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, which depend on the settings and on `epoch` alone: so a run can be resumed."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, carry: Carry) -> tuple[Tensor, Carry]:
        """Loss of a batch, and the state for the next batch, which the loop detaches (truncated BPTT).

        The carry is None for the first batch of an epoch; a task that carries nothing returns None.
        Several processes are each given some rows of a batch; see `share`.
        Call `model(...)` and not its methods, so that Fabric's wrapper sees the call.
        """

    @abstractmethod
    def count_items(self, batch: Batch) -> int:
        """How many items are learnt from in a batch; what only fills up its rows is none."""

    def share(self, rows: Batch, batch: Batch) -> float:
        """How much the loss of some rows counts in that of their batch: by their items, or 1 where losses are sums."""
        return self.count_items(rows) / max(self.count_items(batch), 1)

    @abstractmethod
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Figures of a split ("dev" or "test") of a model in evaluation mode, under no_grad.

        Raises:
            MissingFileError: The split's file is absent.
        """

    def calibrate(self, model: nn.Module) -> dict[str, float]:
        """Fit what the loss does not teach to the dev split, after each epoch, under no_grad.

        Returns:
            What `validate` finds from then on.
        """
        return self.validate(model)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Dev figures after each epoch, which must hold the goal's metric; by default all figures of `evaluate`."""
        return self.evaluate(model, "dev")

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw what people would rather look at than read, under the conditions of `evaluate`."""


class TextTask(Task[TaskSettings]):
    """A task on texts, which become ids by a tokenizer: that of a checkpoint, or one built from the training data."""

    @abstractmethod
    def build_tokenizer(self) -> Tokenizer:
        """A tokenizer of the training data."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids; built when it is first asked for, as data are loaded, where the task was made without one."""
        if self._tokenizer is None:
            self._tokenizer = self.build_tokenizer()
        return self._tokenizer
