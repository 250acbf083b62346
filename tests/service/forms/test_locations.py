"""Where a mistake is, in the client's own words."""

import json
import re
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from service.api.body import parsed
from service.errors import InvalidInput, Location
from service.forms.caption import CaptionRequest
from service.forms.forecasting import ForecastRequest, ReadingsStep, SegmentsStep
from service.forms.form import Form
from service.forms.generation import CharacterStep
from service.forms.music import ComposeRequest
from service.forms.sentiment import SentimentRequest
from service.forms.sessions import CheckpointRequest
from service.forms.steps import IdsStep
from service.forms.tagging import TagRequest
from service.tasks.task import validated


@pytest.mark.parametrize(
    ("form", "body", "location"),
    [
        (SentimentRequest, {"text": ""}, ("text",)),
        (SentimentRequest, {"text": ["good", ""]}, ("text", 1)),
        (TagRequest, {"tokens": ["a b"]}, ("tokens", 0)),
        (TagRequest, {"tokens": [["a"], ["b c"]]}, ("tokens", 1, 0)),
        (TagRequest, {"tokens": [["a"], "b"]}, ("tokens", 1)),
        (TagRequest, {"tokens": 3}, ("tokens",)),
        (TagRequest, {"text": ["a" * 65_536] * 9}, ("text",)),
        (TagRequest, {"tokens": ["a" * 1000] * 525}, ()),
        (ComposeRequest, {"notes": 128}, ("notes",)),
        (ComposeRequest, {"notes": ["C4", "H9"]}, ("notes", 1)),
        (ComposeRequest, {"notes": [[60], ["C4", 61.5]]}, ("notes", 1, 1)),
        (ForecastRequest, {"series": {"": [1]}}, ("series",)),
        (ForecastRequest, {"series": {"x" * 201: [1]}}, ("series",)),
        (ForecastRequest, {"series": {"\0one": [1, "x"]}}, ("series", "\0one", 1)),
        (SentimentRequest, {"text": "a", "\0one": 1}, ("\0one",)),
    ],
)
def test_a_mistake_is_told_once_and_where_it_was_sent(
    form: type[Form], body: dict[str, Any], location: Location
) -> None:
    with pytest.raises(ValidationError) as refused:
        form.model_validate(body)
    errors = InvalidInput.of_fields(refused.value.errors(include_context=False)).errors
    assert [where for where, _ in errors] == [location]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (TagRequest, {"tokens": [[1] * 8192] * 256}),
        (ForecastRequest, {"series": {"OT": [None] * 100_000}}),
        (SegmentsStep, {"x": [[None] * 24] * 10_000}),
        (IdsStep, {"ids": ["a"] * 65_536}),
        (ComposeRequest, {"notes": [["?"] * 88] * 1024}),
        (CaptionRequest, {"image": [[-1] * 64] * 64}),
    ],
)
def test_of_a_long_list_the_first_mistake_is_told(form: type[Form], body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(form, orjson.dumps(body))
    assert len(refused.value.errors) == 1


def test_of_many_mistakes_the_first_are_told_and_how_many_there_are() -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(ForecastRequest, orjson.dumps({"series": {f"channel {n}": [None] for n in range(300)}}))
    assert len(refused.value.errors) == 21
    assert refused.value.errors[-1] == ((), "and 280 more mistakes")
    with pytest.raises(InvalidInput, match="1002 mistakes, too many to list"):
        parsed(SentimentRequest, orjson.dumps({f"key {n}": 1 for n in range(1001)}))


@pytest.mark.parametrize(
    ("form", "body", "told"),
    [
        (ForecastRequest, {"series": {"": [1]}}, "series: a channel's name has 1 to 200 characters"),
        (TagRequest, {"tokens": ["a b"]}, "tokens.0: a token is a word of 1 to 1000 characters, without white space"),
        (ComposeRequest, {"notes": "H9"}, 'notes: a note is a number from 0 to 127, or a name such as "C4"'),
        (ComposeRequest, {"notes": 128}, 'notes: a note is a number from 0 to 127, or a name such as "C4"'),
        (ComposeRequest, {"notes": {}}, 'notes: a note is a number from 0 to 127, or a name such as "C4"'),
        (CharacterStep, {"txt": "a"}, "txt: there is no such field"),
        (SentimentRequest, {"texts": ["a"]}, "texts: there is no such field"),
        (ReadingsStep, {"values": [1]}, "values: Input should be an object"),
        (IdsStep, {"ids": 3}, "ids: Input should be a valid array"),
        (CheckpointRequest, {"name": "a/b"}, "name: the name of a checkpoint is 1 to 64 of A-Z a-z 0-9 . _ -"),
        (CharacterStep, {"generate": 1}, "generate: Input should be an object"),
    ],
)
def test_a_mistake_is_told_in_the_clients_words(form: type[Form], body: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(told)}"):
        validated(form, body)


def test_what_our_words_refuse_is_in_the_schema_all_the_same() -> None:
    series = ForecastRequest.model_json_schema()["properties"]["series"]
    assert series["propertyNames"] == {"minLength": 1, "maxLength": 200}
    assert r'"pattern": "^\\S+$"' in json.dumps(TagRequest.model_json_schema())


def test_a_message_is_the_forms_own_and_not_its_validators() -> None:
    with pytest.raises(InvalidInput, match=r"^give either frames or bars$"):
        parsed(ComposeRequest, b'{"frames": 2, "bars": 2}')
