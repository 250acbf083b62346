"""The recipes by task."""

from importlib import import_module

from torch import nn

from export.errors import WrongLadder
from export.recipes.recipe import Recipe
from export.stages import Sizes, StagePlan
from service.bundle.stage import MAX_RUNG

# Each is a module of this package with a `RECIPE`, imported at first use.
RECIPES = ("sentiment", "generation", "forecasting", "music", "tagging", "translation", "caption")
# Tasks whose recipes are in the module of their kind.
VARIANTS = {
    "chorales": "music",
    "folk": "music",
    "sentiment-bidirectional": "sentiment",
    "entities": "tagging",
    "forecasting-window": "forecasting",
}


def kind_of(task: str) -> str:
    """Return the kind of a task, under which the service knows it."""
    return VARIANTS.get(task, task)


def recipe(task: str) -> Recipe:
    """Return the recipe of a task.

    Raises:
        KeyError: There is no such task.
    """
    kind = kind_of(task)
    if kind not in RECIPES:
        raise KeyError(task)
    module = import_module(f"export.recipes.{kind}")
    found: Recipe = module.RECIPE if task == kind else module.VARIANTS[task]
    return found


def plan(task: str, model: nn.Module, sizes: dict[str, Sizes] | None = None) -> tuple[StagePlan, ...]:
    """Plan the stages of a task.

    Args:
        task: For instance "sentiment".
        model: The prepared model (`export.weights.prepare`).
        sizes: Ladders other than the task's own, by stage.

    Raises:
        WrongLadder: The task has no such stage, a rung is not from 1 to MAX_RUNG or exceeds the model's longest
            forecast, or a stage has no rung for single items.
    """
    stages = recipe(task).stages(model, sizes or {})
    _check_ladders(stages, sizes or {})
    return stages


def _check_ladders(stages: tuple[StagePlan, ...], sizes: dict[str, Sizes]) -> None:
    unknown = sizes.keys() - {stage.name for stage in stages}
    if unknown:
        raise WrongLadder(f"no stage {sorted(unknown)}; there are {[stage.name for stage in stages]}")
    for stage in stages:
        if not stage.sizes or not all(1 <= size <= MAX_RUNG for size in stage.sizes):
            raise WrongLadder(f"rungs of {stage.name} must be 1 to {MAX_RUNG}, not {list(stage.sizes)}")
        if stage.fit == "exact" and 1 not in stage.sizes:
            raise WrongLadder(f"{stage.name} needs a rung of 1: lengths are cut exactly")
