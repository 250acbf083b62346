"""The last value that a field takes, and the first that it refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.forms.forecasting import MAX_NAME_CHARACTERS, ForecastRequest
from service.forms.form import MAX_CHARACTERS_TOGETHER, MAX_READING, Form
from service.forms.repository import LoadRequest
from service.forms.sampling_options import SamplingOptions
from service.forms.sessions import ForkRequest, SessionRequest
from service.forms.tagging import MAX_TOKEN_CHARACTERS, TagRequest

INT32, INT64 = 2**31 - 1, 2**63 - 1
WORDS = ["a" * MAX_TOKEN_CHARACTERS] * (MAX_CHARACTERS_TOGETHER // MAX_TOKEN_CHARACTERS)
LAST_WORD = "a" * (MAX_CHARACTERS_TOGETHER % MAX_TOKEN_CHARACTERS)


def forecast(name: str = "a", reading: float = 1.0, **options: object) -> dict[str, Any]:
    return {"series": {name: [reading]}, **options}


@pytest.mark.parametrize(
    ("form", "taken", "refused"),
    [
        (SessionRequest, {"model": "sum", "ttl_seconds": 1}, {"model": "sum", "ttl_seconds": 0}),
        (SessionRequest, {"model": "sum", "ttl_seconds": INT32}, {"model": "sum", "ttl_seconds": INT32 + 1}),
        (ForkRequest, {"ttl_seconds": 1}, {"ttl_seconds": 0}),
        (ForecastRequest, forecast(reading=-MAX_READING), forecast(reading=-MAX_READING * 1.1)),
        (ForecastRequest, forecast(reading=MAX_READING), forecast(reading=MAX_READING * 1.1)),
        (ForecastRequest, forecast("a"), forecast("")),
        (ForecastRequest, forecast("a" * MAX_NAME_CHARACTERS), forecast("a" * (MAX_NAME_CHARACTERS + 1))),
        (ForecastRequest, forecast(quantiles=[1e-9, 1 - 1e-9]), forecast(quantiles=[0.0])),
        (ForecastRequest, forecast(horizon=1), forecast(quantiles=[1.0])),
        (ForecastRequest, forecast(horizon=INT32), forecast(horizon=0)),
        (SamplingOptions, {"seed": 0}, {"seed": -1}),
        (SamplingOptions, {"seed": INT64}, {"seed": INT64 + 1}),
        (SamplingOptions, {"temperature": 0.0, "top_k": 1}, {"temperature": -0.1}),
        (SamplingOptions, {"temperature": 10.0, "top_p": 1.0}, {"temperature": 10.1}),
        (SamplingOptions, {"top_p": 1e-9}, {"top_p": 0.0}),
        (SamplingOptions, {"top_p": 1.0}, {"top_p": 1.1}),
        (SamplingOptions, {"top_k": INT32}, {"top_k": 0}),
        (TagRequest, {"tokens": [*WORDS, LAST_WORD]}, {"tokens": [*WORDS, f"{LAST_WORD}a"]}),
        (TagRequest, {"tokens": [WORDS, [LAST_WORD]]}, {"tokens": [WORDS, [f"{LAST_WORD}a"]]}),
        (LoadRequest, {"parameters": {"version": "a" * 64}}, {"parameters": {"version": "a" * 65}}),
    ],
)
def test_a_field_takes_its_limit_and_nothing_beyond(
    form: type[Form], taken: dict[str, Any], refused: dict[str, Any]
) -> None:
    form.model_validate(taken)
    with pytest.raises(ValidationError):
        form.model_validate(refused)


def test_a_form_cannot_be_changed() -> None:
    form = SessionRequest(model="sum")
    with pytest.raises(ValidationError, match="frozen"):
        form.model = "echo"
