"""The shipped character model, asked without a session or a server."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from service.bundle.manifest import read_bundle
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.errors import InvalidInput
from service.forms.generation import CharacterStep
from service.forms.steps import MAX_STEP_ITEMS
from service.record.sequence_state import SequenceState
from service.tasks.generation import GenerationModel
from tests.fakes.graphs import RecordingObserver
from tests.paths import MODELS

pytestmark = pytest.mark.anyio
TEXT = "ROMEO:\nIs the day so you"


@pytest.fixture
async def model() -> AsyncIterator[GenerationModel]:
    runtime = Runtime(read_bundle(MODELS / "generation"))
    engine = Engine(runtime, RecordingObserver())
    engine.start()
    yield GenerationModel(runtime.bundle, engine)
    await engine.stop()


async def step(
    model: GenerationModel,
    state: SequenceState | None = None,
    **inputs: object,
) -> tuple[dict[str, Any], SequenceState]:
    return await model.step(state or model.initial_state(), CharacterStep.model_validate(inputs), seed=3)


async def test_the_five_most_probable_characters_follow_what_is_read(model: GenerationModel) -> None:
    answer, _ = await step(model, text=TEXT)
    names, probabilities = zip(*answer["next"], strict=True)
    assert names[0] == "n"
    assert len(set(names)) == 5
    assert list(probabilities) == sorted(probabilities, reverse=True)
    assert 0.5 < sum(probabilities) < 1


async def test_the_probability_of_a_text_is_that_of_its_pieces(model: GenerationModel) -> None:
    whole, _ = await step(model, text=TEXT)
    first, state = await step(model, text=TEXT[:9])
    second, _ = await step(model, state, text=TEXT[9:])
    assert whole["log_prob"] == pytest.approx(first["log_prob"] + second["log_prob"])
    assert whole["next"] == second["next"]
    assert -3 < whole["log_prob"] / len(TEXT) < 0


async def test_what_a_step_writes_is_what_it_would_have_read(model: GenerationModel) -> None:
    _, state = await step(model, text=TEXT)
    written, after = await step(model, state, generate={"max_tokens": 30})
    _, read = await step(model, state, text=written["text"])
    assert (after.rows, after.position) == (read.rows, read.position)
    assert written["usage"] == {"prompt_tokens": 0, "completion_tokens": 30, "total_tokens": 30}
    assert written["seed"] == 3


@pytest.mark.parametrize("inputs", [{}, {"text": "a", "generate": {}}])
async def test_a_step_reads_or_writes(model: GenerationModel, inputs: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match='give one of "text" and "generate"'):
        await step(model, **inputs)


async def test_an_unknown_character_is_named_with_its_place(model: GenerationModel) -> None:
    with pytest.raises(InvalidInput, match=r"text: character '\u6e29' at position 2 is not one the model knows"):
        await step(model, text="ab\u6e29")
    with pytest.raises(InvalidInput, match=r"generate.top_k: the model knows \d+ characters"):
        await step(model, generate={"top_k": 1000})


async def test_ids_are_tokens_and_no_more_than_a_step_may_have(model: GenerationModel) -> None:
    last = model.num_tokens - 1
    for ids in ([0], [last], [0, last] * (MAX_STEP_ITEMS // 2)):
        np.testing.assert_array_equal(model.read_tensors({"ids": ids}), ids)
    for wrong in (
        [],
        [-1],
        [last + 1],
        [True],
        [1.0],
        ["1"],
        [2**63],
        [0] * 100 + [last + 1],
        [0] * (MAX_STEP_ITEMS + 1),
    ):
        with pytest.raises(InvalidInput, match=r"^ids"):
            model.read_tensors({"ids": wrong})
