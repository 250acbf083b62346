"""Where a mistake is, in the client's own words."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.api.body import parsed
from service.errors import InvalidInput, Location
from service.forms.form import Form
from service.forms.music import ComposeRequest
from service.forms.sentiment import SentimentRequest
from service.forms.tagging import TagRequest


@pytest.mark.parametrize(
    ("form", "body", "location"),
    [
        (SentimentRequest, {"text": ""}, ("text",)),
        (SentimentRequest, {"text": ["good", ""]}, ("text", 1)),
        (TagRequest, {"tokens": ["a b"]}, ("tokens", 0)),
        (TagRequest, {"tokens": [["a"], ["b c"]]}, ("tokens", 1, 0)),
        (TagRequest, {"tokens": [["a"], "b"]}, ("tokens", 1)),
        (TagRequest, {"tokens": 3}, ("tokens",)),
        (ComposeRequest, {"notes": 128}, ("notes",)),
        (ComposeRequest, {"notes": ["C4", "H9"]}, ("notes", 1)),
        (ComposeRequest, {"notes": [[60], ["C4", 61.5]]}, ("notes", 1, 1)),
    ],
)
def test_a_mistake_is_told_once_and_where_it_was_sent(
    form: type[Form], body: dict[str, Any], location: Location
) -> None:
    with pytest.raises(ValidationError) as refused:
        form.model_validate(body)
    errors = InvalidInput.of_fields(refused.value.errors(include_context=False)).errors
    assert [where for where, _ in errors] == [location]


def test_a_message_is_the_forms_own_and_not_its_validators() -> None:
    with pytest.raises(InvalidInput, match=r"^give one of frames and bars$"):
        parsed(ComposeRequest, b'{"frames": 2, "bars": 2}')
