"""Nothing that can be trained lacks what its export needs."""

from typing import get_args

import pytest

from export.errors import NotQuantizable, WrongLadder
from export.int8.int8 import check_kind
from export.recipes.language import DECODE_SIZES
from export.recipes.registry import kind_of, plan, recipe
from export.weights import prepare
from service.bundle.tasks import Task
from tests.export.conftest import Exported
from training.models.generation import Cell, GenerationModelSettings
from training.models.language import language_model
from training.tasks.registry import TASKS

KINDS = {task.model_fields["kind"].default for task in get_args(get_args(Task)[0])}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_recipe_in_the_module_of_its_kind(task: str) -> None:
    assert recipe(task).pattern
    assert kind_of(task) in KINDS


@pytest.mark.parametrize("cell", get_args(Cell))
def test_every_cell_has_a_ladder_and_its_own_name(cell: Cell) -> None:
    model = language_model(11, GenerationModelSettings(cell=cell, embedding_size=5, hidden_size=7, layers=1))
    assert recipe("generation").cell(prepare(model)) == cell
    assert [stage.name for stage in plan("generation", prepare(model))] == ["encode", "decode"]


def test_a_cell_that_no_recipe_knows_keeps_its_name(generation: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    model = generation.model
    monkeypatch.setattr(model, "cell", "peephole")
    with pytest.raises(WrongLadder, match="no ladder for a decode stage by peephole: add it to DECODE_SIZES"):
        plan("generation", model)
    assert [stage.sizes for stage in plan("generation", model, {"decode": (2,)})][1] == (2,)
    with pytest.raises(NotQuantizable, match="not those for generation by peephole"):
        check_kind(generation.checkpoint.path, "generation", recipe("generation").cell(model))


def test_ladders_are_only_for_cells() -> None:
    assert DECODE_SIZES.keys() == set(get_args(Cell))
