"""Values that may have one of several shapes: what has none of them is told which there are."""

from typing import Any

import pytest

from service.api.body import parsed
from service.errors import InvalidInput
from service.forms.caption import CaptionRequest
from service.forms.completions import CompletionRequest
from service.forms.forecasting import ForecastRequest, ReadingsStep
from service.forms.form import Form
from service.forms.generation import CharacterStep, GenerateRequest
from service.forms.sentiment import SentimentRequest
from service.forms.steps import StreamItem
from service.forms.tagging import TagRequest
from service.forms.translation import TranslateRequest

TEXT_OR_TEXTS = "Input should be a text, or a list of texts"
ROWS_OR_FILE = (
    "an image is rows of pixels, or a file in base64 (in JavaScript `canvas.toDataURL()` or `FileReader.readAsDataURL`)"
)


@pytest.mark.parametrize(
    ("form", "body", "told"),
    [
        (StreamItem, '{"id": 1.5, "session_id": "a", "inputs": {}}', "id: Input should be a text or a whole number"),
        (StreamItem, '{"id": {}, "session_id": "a", "inputs": {}}', "id: Input should be a text or a whole number"),
        (SentimentRequest, '{"text": {"a": 1}}', f"text: {TEXT_OR_TEXTS}"),
        (SentimentRequest, '{"text": 5}', f"text: {TEXT_OR_TEXTS}"),
        (TagRequest, '{"text": {}}', f"text: {TEXT_OR_TEXTS}"),
        (TranslateRequest, '{"text": {}, "to": "de"}', f"text: {TEXT_OR_TEXTS}"),
        (GenerateRequest, '{"stop": {}}', f"stop: {TEXT_OR_TEXTS}"),
        (CompletionRequest, '{"model": "a", "prompt": {}}', f"prompt: {TEXT_OR_TEXTS}"),
        (CaptionRequest, '{"image": {}}', f"image: {ROWS_OR_FILE}"),
        (CaptionRequest, '{"image": {"0": 137, "1": 80}}', f"image: {ROWS_OR_FILE}"),
        (CaptionRequest, '{"image": [137, 80, 78]}', f"image: {ROWS_OR_FILE}"),
        (CaptionRequest, '{"image": null}', f"image: {ROWS_OR_FILE}"),
        (CaptionRequest, '{"image": [[0, "a"]]}', "image.0.1: Input should be a valid number"),
        (SentimentRequest, '{"text": ["a", 5]}', "text.1: Input should be a valid string"),
        (ReadingsStep, '{"values": {"a": [1]}, "quantiles": [0.5]}', "quantiles: only with a horizon"),
    ],
)
def test_what_fits_no_shape_is_told_which_there_are(form: type[Form], body: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(form, body)
    assert str(refused.value) == told


def test_readings_alone_have_no_quantiles_and_a_forecast_has() -> None:
    assert parsed(ReadingsStep, '{"values": {"a": [1]}}').horizon is None
    assert parsed(ReadingsStep, '{"horizon": 3, "quantiles": [0.5]}').quantiles == [0.5]


@pytest.mark.parametrize(("form", "field"), [(ForecastRequest, "series"), (ReadingsStep, "values")])
@pytest.mark.parametrize("reading", ["null", '"3"', "1e13", "-1e13"])
def test_what_is_no_reading_is_told_how_to_fill_it(form: type[Form], field: str, reading: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(form, f'{{"{field}": {{"m1": [1, {reading}]}}}}')
    ((location, message),) = refused.value.errors
    assert location == (field, "m1", 1)
    assert message == (
        "a reading is a number from -1e+12 to 1e+12; fill in one that is missing, for instance with yesterday's at the "
        "same hour or with the session's own forecast"
    )


@pytest.mark.parametrize(
    ("form", "with_null", "without"),
    [
        (TagRequest, {"text": "a", "tokens": None}, {"text": "a"}),
        (TagRequest, {"text": None, "tokens": ["a"]}, {"tokens": ["a"]}),
        (GenerateRequest, {"stop": None}, {}),
        (CharacterStep, {"generate": {"stop": None}}, {"generate": {}}),
    ],
)
def test_null_leaves_out_what_may_be_left_out(
    form: type[Form], with_null: dict[str, Any], without: dict[str, Any]
) -> None:
    assert form.model_validate(with_null) == form.model_validate(without)


def test_null_twice_says_nothing() -> None:
    with pytest.raises(InvalidInput, match="give either text or tokens"):
        parsed(TagRequest, '{"text": null, "tokens": null}')
