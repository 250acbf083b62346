"""The part of an export that depends on the task."""

import math
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from export.running.rungs import Rungs
from export.stages import Arrays, Draw, Sizes, StagePlan
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import ITEM_STAGE, Stage
from service.bundle.tasks import Task
from training.data.source import is_own

Stages = tuple[StagePlan, ...]

MIN_ITEMS = 8  # that are read to compare graphs with `forward`: a single item shows nothing of a recurrence


class Recipe(ABC):
    """How the checkpoints of one task become bundles."""

    @abstractmethod
    def purpose(self, manifest: Manifest) -> str:
        """Describe a model's purpose, for its card."""

    @property
    @abstractmethod
    def pattern(self) -> str:
        """The shape of the task, for instance "many to one"."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The endpoint for whole questions, for instance "/sentiment"."""

    @property
    @abstractmethod
    def headline(self) -> tuple[str, ...]:
        """The main figures of a model, by their names in the manifest."""

    @property
    def caveat(self) -> str:
        """A caveat about the figures for the card. Empty if there is none."""
        return ""

    @abstractmethod
    def cell(self, model: nn.Module) -> str:
        """Return the name of a model's recurrent cell."""

    @abstractmethod
    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        """Plan the stages of a model.

        Args:
            model: The prepared model.
            sizes: Ladders other than the task's own, by stage.
        """

    @abstractmethod
    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> Task:
        """Return the manifest's description of the task."""

    @abstractmethod
    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        """Return a function that draws realistic inputs for a stage of a finished bundle."""

    def compare(self, model: nn.Module, rungs: Rungs, rng: np.random.Generator, N: int) -> tuple[Arrays, Arrays]:
        """Answer the same random inputs by the graphs and by the pass that trains the model, its `forward`.

        By default the inputs are read in pieces, one for each rung of the only stage that reads, again and again until
        MIN_ITEMS are read, and `forward` returns logits and the state that it carries on. Other models override this.

        Args:
            model: The trained model with rounded weights.
            rungs: Its graphs.
            rng: Draws the inputs.
            N: Number of rows.

        Returns:
            The graphs' answers and those of `forward`, float (N, ...) or with more rows, by name.
        """
        stage = rungs.stages[ITEM_STAGE]
        state, carried = rungs.initial_state(N), None
        found: Arrays = {}
        expected: Arrays = {}
        for i, size in enumerate(stage.sizes * math.ceil(MIN_ITEMS / sum(stage.sizes))):
            inputs = stage.draw(rng, N, size)
            answer = rungs.run(stage, size, inputs, state)
            state, found[f"logits{i}"] = answer.state, answer.outputs["logits"]
            logits, carried = model(torch.from_numpy(inputs["x"]), carried)
            expected[f"logits{i}"] = logits.numpy()
        return found, expected

    def error_units(self, state: Arrays, N: int) -> NDArray[np.float64]:
        """Return each row's unit for errors of float64 tensors, float64 (N,). 1 by default."""
        return np.ones(N)


def own_files(manifest: Manifest) -> str:
    """Return the names of the user's own files that a model was trained on. Empty if its data is published."""
    return ", ".join(data.name for data in manifest.data if is_own(data.address))
