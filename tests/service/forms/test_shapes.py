"""Values that may have one of several shapes: what has none of them is told which there are."""

import pytest

from service.api.body import parsed
from service.errors import InvalidInput
from service.forms.forecasting import ReadingsStep
from service.forms.form import Form
from service.forms.sentiment import SentimentRequest
from service.forms.steps import StreamItem


@pytest.mark.parametrize(
    ("form", "body", "told"),
    [
        (StreamItem, '{"id": 1.5, "session_id": "a", "inputs": {}}', "id: Input should be a text or a whole number"),
        (StreamItem, '{"id": {}, "session_id": "a", "inputs": {}}', "id: Input should be a text or a whole number"),
        (SentimentRequest, '{"text": {"a": 1}}', "text: Input should be one, or a list of several"),
        (SentimentRequest, '{"text": 5}', "text: Input should be a valid string"),
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
