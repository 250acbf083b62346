"""What a task supplies to the export; all else is the same for every bundle."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from export.stages import Arrays, Draw, Sizes, StagePlan
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import Stage
from service.bundle.tasks import Task
from training.data.source import OWN

Stages = tuple[StagePlan, ...]


class Recipe(ABC):
    """How the checkpoints of one task become bundles."""

    @abstractmethod
    def purpose(self, manifest: Manifest) -> str:
        """What the model of a bundle is for: a sentence of its card."""

    @property
    @abstractmethod
    def pattern(self) -> str:
        """What of a sequence becomes what, for instance "many to one"."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """Where its bundles are asked whole questions, for instance "/sentiment"."""

    @property
    @abstractmethod
    def headline(self) -> tuple[str, ...]:
        """The figures that stand for a model, by their names in the manifest."""

    @property
    def caveat(self) -> str:
        """What its figures do not say by themselves; empty where there is nothing."""
        return ""

    @abstractmethod
    def cell(self, model: nn.Module) -> str:
        """Name of the recurrent cell of a model."""

    @abstractmethod
    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        """The stages of a model; `sizes` are other ladders than the task's own, by stage."""

    @abstractmethod
    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> Task:
        """What the manifest says of the task."""

    @abstractmethod
    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        """Realistic inputs of a stage of a finished bundle, to try it without its model."""

    def error_units(self, state: Arrays, N: int) -> NDArray[np.float64]:
        """What errors of float64 tensors count in, for each row, (N,): 1 where they have no unit."""
        return np.ones(N)


def own_files(manifest: Manifest) -> str:
    """Names of the user's own files that a model learned from; empty where its data is published."""
    return ", ".join(data.name for data in manifest.data if data.address.startswith(OWN))
