"""A run of the training loop: model, optimizer, averaged weights and progress, and how they are saved and restored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.loop.precision import Precision
from training.loop.throughput import Meter
from training.settings import LoopSettings
from training.tasks.task import Task

DEV = "dev_"  # prefix of dev figures in the history
PRECISION = "precision"  # key in a saved run


class TrainingError(Exception):
    """A run cannot start or continue."""


@dataclass
class Progress:
    """How far a run has come. Saved and restored with the weights.

    Args:
        epoch: Whole epochs done.
        step: Optimizer steps taken.
        best_epoch: The epoch with the best dev figures so far, from 1. 0 before there is one.
        history: One row of metrics per epoch.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_figures(self) -> dict[str, float] | None:
        """The dev figures of the best epoch. None before there is one."""
        if not self.best_epoch:
            return None
        row = self.history[self.best_epoch - 1]
        return {name.removeprefix(DEV): value for name, value in row.items() if name.startswith(DEV)}

    @property
    def is_at_best(self) -> bool:
        """Whether the last whole epoch is the best one."""
        return 0 < self.best_epoch == self.epoch

    def is_finished(self, loop: LoopSettings) -> bool:
        """Whether all epochs are done, or `patience` epochs have passed without a better dev figure."""
        has_lost_patience = loop.patience is not None and self.epoch - self.best_epoch >= loop.patience
        return self.epoch >= loop.epochs or has_lost_patience


@dataclass
class Run:
    """Everything that a running training holds."""

    fabric: Fabric
    task: Task[Any]
    model: Any  # Fabric's wrapper of the task's model
    optimizer: Optimizer
    average: AveragedModel | None
    progress: Progress
    total_steps: int
    precision: Precision = "32-true"
    meter: Meter | None = None  # from the first batch on

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and saved: the one with averaged weights, if weights are averaged."""
        module: nn.Module = self.model.module if self.average is None else self.average.module
        return module

    def save(self, path: Path) -> None:
        """Write all that a resumed run needs to one file, atomically.

        Raises:
            TrainingError: It cannot be written, for instance because the disk is full. The former file is kept.
        """
        part = path.with_name(path.name + ".part")
        try:
            self.fabric.save(part, self._trained() | {"progress": asdict(self.progress), PRECISION: self.precision})
            if self.fabric.is_global_zero:
                part.replace(path)
        except (OSError, RuntimeError) as error:  # torch raises a RuntimeError for a full disk
            part.unlink(missing_ok=True)
            reason = (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0]
            raise TrainingError(f"{path} cannot be written: {reason}") from error

    def restore(self, path: Path) -> None:
        """Restore what `save` wrote.

        Raises:
            TrainingError: The file cannot be read, or lacks what this version saves.
        """
        saved = self._trained() | {"progress": None}
        with _readable(path):
            self.fabric.load(path, saved, weights_only=True)
            progress = saved["progress"]
            self.progress = Progress(**{field.name: progress[field.name] for field in fields(Progress)})

    def _trained(self) -> dict[str, Any]:
        """Return the objects whose state Fabric saves and restores."""
        parts = {"model": self.model, "optimizer": self.optimizer}
        return parts if self.average is None else parts | {"average": self.average}


def saved_precision(path: Path) -> Precision | None:
    """Return the precision of a saved run. None if it was saved by a version that did not record it.

    Raises:
        TrainingError: The file cannot be read.
    """
    with _readable(path):
        found: Precision | None = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get(PRECISION)
    return found


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn errors about a damaged file, or one of another version, into a TrainingError."""
    try:
        yield
    except (EOFError, OSError, RuntimeError, UnpicklingError) as error:
        raise _unreadable(path, str(error).partition("\n")[0]) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"it was written by another version ({type(error).__name__}: {error})") from error


def _unreadable(path: Path, reason: str) -> TrainingError:
    return TrainingError(f"{path} cannot be read: {reason}. Start the run again with --overwrite")


def make_fabric(loop: LoopSettings, precision: Precision) -> Fabric:
    """Connect to the devices that the settings name.

    Args:
        loop: The settings.
        precision: Precision of the matrix products; see `training.loop.precision.choose_precision`.

    Raises:
        TrainingError: This machine has no such devices.
    """
    try:
        return Fabric(
            accelerator=loop.accelerator,
            devices=loop.devices,
            strategy=loop.strategy,
            precision=precision,
        )
    except (ImportError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"loop.accelerator={loop.accelerator}, loop.devices={loop.devices}, loop.strategy={loop.strategy} "
            f"is not available here: {error}"
        ) from error


def build_run(fabric: Fabric, task: Task[Any], precision: Precision = "32-true", *, is_new: bool = True) -> Run:
    """Build the model, its optimizer and averaged weights, before the first step.

    Args:
        fabric: Its devices.
        task: The task to train.
        precision: The precision of `fabric`.
        is_new: Whether to initialise the model; False if its weights are about to be restored.
    """
    loop = task.settings.loop
    fabric.seed_everything(task.settings.seed, verbose=False)
    model = task.build_model()
    if is_new:
        task.initialise(model)
    optimizer = AdamW(parameter_groups(model, task), lr=loop.learning_rate, fused=True)
    model, optimizer = fabric.setup(model, optimizer)
    average = None
    if loop.ema_decay is not None:
        average = AveragedModel(model.module, multi_avg_fn=get_ema_multi_avg_fn(loop.ema_decay))  # type: ignore[no-untyped-call]
    total_steps = loop.epochs * task.batches_per_epoch()
    return Run(fabric, task, model, optimizer, average, Progress(), total_steps, precision)


def parameter_groups(model: nn.Module, task: Task[Any]) -> list[dict[str, Any]]:
    """Group parameters for AdamW by `Task.learning_rate_scale` and by weight decay, which only matrices get.

    Returns:
        torch's parameter groups. "scale" is the factor of the learning rate.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault((task.learning_rate_scale(name), parameter.ndim >= 2), []).append(parameter)
    decay = task.settings.loop.weight_decay
    return [
        {"params": parameters, "weight_decay": decay if is_matrix else 0.0, "scale": scale}
        for (scale, is_matrix), parameters in sorted(groups.items(), key=lambda group: group[0], reverse=True)
    ]
