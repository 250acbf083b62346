"""What steps take, and what `GET /models` says of it by JSON Schema: the same."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from service.catalog import MODELS
from service.forms.forecasting import ReadingsStep
from service.forms.form import MAX_CHARACTERS_TOGETHER, Form
from service.forms.generation import CharacterStep
from service.forms.music import MusicStep
from service.forms.steps import TENSOR_FIELDS
from service.forms.tagging import MAX_TOKEN_CHARACTERS, TagRequest, TagStep
from service.tasks.task import TensorModel

SERIES = {"OT": [30.5]}
# Of each form, bodies that are taken, and bodies that are refused though each field is right.
BODIES: dict[type[Form], tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    CharacterStep: (
        [{"text": "a"}, {"generate": {}}, {"text": "a", "generate": None}, {"text": None, "generate": {}}],
        [{}, {"text": None}, {"text": "a", "generate": {}}],
    ),
    MusicStep: (
        [{"notes": "C4"}, {"notes": [60]}, {"notes": [[60], []]}, {"generate": {"bars": 1}, "notes": None}],
        [{}, {"generate": None}, {"notes": 60, "generate": {}}],
    ),
    ReadingsStep: (
        [{"values": SERIES}, {"horizon": 1, "quantiles": [0.5]}, {"values": SERIES, "horizon": 1}],
        [{}, {"values": None}, {"values": SERIES, "quantiles": [0.5]}, {"quantiles": [0.5]}],
    ),
    TagStep: (
        [{"text": "a"}, {"tokens": ["a"], "end": True}, {"end": True}, {"end": True, "text": None}],
        [{}, {"end": False}, {"text": "a", "tokens": ["a"]}, {"text": "a", "tokens": ["a"], "end": True}],
    ),
}
TAKEN = [(form, body) for form, (taken, _) in BODIES.items() for body in taken]
REFUSED = [(form, body) for form, (_, refused) in BODIES.items() for body in refused]


def is_valid(form: type[Form], body: dict[str, Any]) -> bool:
    """Whether a body is one by the schema."""
    return bool(Draft202012Validator(form.model_json_schema()).is_valid(body))


@pytest.mark.parametrize(("form", "body"), TAKEN)
def test_a_step_that_is_taken_is_one_by_the_schema(form: type[Form], body: dict[str, Any]) -> None:
    form.model_validate(body)
    assert is_valid(form, body)


@pytest.mark.parametrize(("form", "body"), REFUSED)
def test_a_step_that_says_nothing_or_too_much_is_none_by_the_schema(form: type[Form], body: dict[str, Any]) -> None:
    assert not is_valid(form, body)


def test_who_calls_readings_as_the_question_does_is_told_their_name() -> None:
    with pytest.raises(ValidationError, match="did you mean `values`"):
        ReadingsStep.model_validate({"series": SERIES, "horizon": 24})


@pytest.mark.parametrize("form", [TagRequest, TagStep])
def test_words_may_have_as_many_characters_in_a_step_as_in_a_question(form: type[Form]) -> None:
    word = "a" * MAX_TOKEN_CHARACTERS
    fitting = [word] * (MAX_CHARACTERS_TOGETHER // MAX_TOKEN_CHARACTERS)
    form.model_validate({"tokens": fitting})
    with pytest.raises(ValidationError, match="together have more than 524288 characters"):
        form.model_validate({"tokens": [*fitting, word]})


def test_a_step_is_in_tensors_by_the_field_of_its_models_form() -> None:
    forms = [model.tensors_form for model in MODELS if issubclass(model, TensorModel)]
    assert {name for form in forms for name in form.model_fields} == TENSOR_FIELDS
