"""The recipes by task, and the plans of stages that they make."""

from importlib import import_module
from typing import NoReturn

from torch import nn

from export.errors import NoRecipe, WrongLadder
from export.recipes.recipe import Recipe
from export.stages import Sizes, StagePlan
from service.bundle.manifest import Bundle
from service.bundle.stage import MAX_RUNG

# By task, and by kind where no task has its name: a module of this package, imported at first use, and a name in it.
RECIPES = {
    "sentiment": "sentiment:RECIPE",
    "sentiment-bidirectional": "sentiment:BIDIRECTIONAL",
    "generation": "generation:RECIPE",
    "forecasting": "forecasting:RECIPE",
    "forecasting-window": "forecasting:WINDOW",
    "music": "music:CHORALES",
    "chorales": "music:CHORALES",
    "folk": "music:FOLK",
    "tagging": "tagging:RECIPE",
    "entities": "tagging:ENTITIES",
    "translation": "translation:RECIPE",
    "caption": "caption:RECIPE",
}


def kind_of(task: str) -> str:
    """Return the kind of a task, under which the service knows it.

    Raises:
        NoRecipe: The task has no recipe.
    """
    return _find(task)[0]


def recipe(task: str) -> Recipe:
    """Return the recipe of a task.

    Raises:
        NoRecipe: The task has no recipe.
    """
    module, name = _find(task)
    found: Recipe = getattr(import_module(f"export.recipes.{module}"), name)
    return found


def _find(task: str) -> tuple[str, str]:
    """Return the module and name of a task's recipe."""
    if task not in RECIPES:
        raise NoRecipe(f"the task {task} has no recipe: add it to RECIPES in export/recipes/registry.py")
    module, _, name = RECIPES[task].partition(":")
    return module, name


def plan_of_bundle(bundle: Bundle) -> tuple[StagePlan, ...]:
    """Plan the stages of a finished bundle from its manifest, so that its graphs can be run without a model.

    Their `build` raises NotImplementedError, since a bundle has no torch model.
    """
    draw = recipe(bundle.manifest.task.kind).draw
    return tuple(
        StagePlan(
            name=stage.name,
            sizes=tuple(sorted(stage.rungs)),
            inputs=stage.inputs,
            outputs=stage.outputs,
            reads=stage.reads,
            writes=stage.writes,
            build=_cannot_build,
            draw=draw(bundle, stage),
            fit=stage.fit,
            direction=stage.direction,
        )
        for stage in bundle.manifest.stages
    )


def _cannot_build(size: int) -> NoReturn:
    raise NotImplementedError(f"a bundle holds no model to build the rung {size} of")


def plan(task: str, model: nn.Module, sizes: dict[str, Sizes] | None = None) -> tuple[StagePlan, ...]:
    """Plan the stages of a task.

    Args:
        task: For instance "sentiment".
        model: The prepared model (`export.weights.prepare`).
        sizes: Ladders other than the task's own, by stage.

    Raises:
        NoRecipe: The task has no recipe.
        WrongLadder: The task has no such stage, a rung is not from 1 to MAX_RUNG or exceeds the model's longest
            forecast, a stage has no rung for single items, or the model's cell has no ladder.
    """
    stages = recipe(task).stages(model, sizes or {})
    unknown = (sizes or {}).keys() - {stage.name for stage in stages}
    if unknown:
        raise WrongLadder(f"no stage {sorted(unknown)}; there are {[stage.name for stage in stages]}")
    check_ladders(stages)
    return stages


def check_ladders(stages: tuple[StagePlan, ...]) -> None:
    """Check that a service can cut any length into the rungs of each stage.

    Raises:
        WrongLadder: A rung is not from 1 to MAX_RUNG, or a stage has no rung for single items.
    """
    for stage in stages:
        if not stage.sizes or not all(1 <= size <= MAX_RUNG for size in stage.sizes):
            raise WrongLadder(f"rungs of {stage.name} must be 1 to {MAX_RUNG}, not {list(stage.sizes)}")
        if stage.fit == "exact" and 1 not in stage.sizes:
            raise WrongLadder(f"{stage.name} needs a rung of 1: lengths are cut exactly")
