"""What OpenAI's form may ask for, and what is refused instead of being ignored."""

import re
from typing import Any

import orjson
import pytest

from service.api.body import parsed
from service.errors import InvalidInput, Location
from service.forms.completions import MAX_CHOICES, CompletionRequest
from service.forms.form import MAX_CHARACTERS_TOGETHER, MAX_TEXT_CHARACTERS
from tests.paths import DOCS

PAGE = (DOCS / "generation.md").read_text()
LONG = "a" * MAX_TEXT_CHARACTERS


def request(**fields: object) -> CompletionRequest:
    return parsed(CompletionRequest, orjson.dumps({"model": "generation", **fields}))


def test_defaults_are_those_of_openais_form() -> None:
    asked = request()
    assert (asked.prompts, asked.max_tokens, asked.temperature, asked.top_p, asked.n) == ([""], 16, 1.0, 1.0, 1)
    assert (asked.stops, asked.seed, asked.echo, asked.stream, asked.includes_usage) == ((), None, False, False, False)


def test_a_field_that_is_null_is_left_out() -> None:
    fields = set(CompletionRequest.model_fields) - {"model"}
    assert request(**dict.fromkeys(fields)) == request()


def test_a_field_that_may_be_null_says_so_in_its_schema() -> None:
    schema = CompletionRequest.model_json_schema()
    for name, field in schema["properties"].items():
        assert ((field.get("anyOf") or field.get("oneOf", [{}]))[-1] == {"type": "null"}) is (name != "model"), name
    assert schema["properties"]["max_tokens"] == {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 4096}, {"type": "null"}],
        "default": 16,
        "description": "Maximum number of characters to generate",
        "title": "Max Tokens",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"best_of": 1},
        {"n": 3, "best_of": 3},
        {"frequency_penalty": 0, "presence_penalty": 0.0},
        {"logit_bias": {}},
        {"suffix": ""},
        {"user": "ann"},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"stop": ["a", "b", "c", "d"]},
        {"prompt": [""] * MAX_CHOICES},
        {"n": MAX_CHOICES},
        {"prompt": ["a", "b"], "n": MAX_CHOICES // 2},
    ],
)
def test_what_changes_nothing_or_can_be_done_is_taken(fields: dict[str, Any]) -> None:
    assert request(**fields).model == "generation"


@pytest.mark.parametrize(
    ("fields", "location", "message"),
    [
        ({"model": None}, ("model",), "Field required"),
        ({"prompt": [1]}, ("prompt", 0), "valid string"),
        ({"prompt": []}, ("prompt",), "at least 1 item"),
        ({"prompt": [""] * (MAX_CHOICES + 1)}, ("prompt",), "at most 64 items"),
        ({"prompt": LONG + "a"}, ("prompt",), "at most 65536 characters"),
        ({"prompt": [LONG] * (MAX_CHARACTERS_TOGETHER // len(LONG) + 1)}, ("prompt",), "together"),
        ({"prompt": ["a", "b"], "n": MAX_CHOICES // 2 + 1}, ("n",), "prompts times n"),
        ({"n": 0}, ("n",), "greater than or equal to 1"),
        ({"n": MAX_CHOICES + 1}, ("n",), "less than or equal to 64"),
        ({"best_of": 2}, ("best_of",), "must equal n"),
        ({"n": 2, "best_of": 1}, ("best_of",), "must equal n"),
        ({"max_tokens": 0}, ("max_tokens",), "greater than or equal to 1"),
        ({"max_tokens": "9"}, ("max_tokens",), "valid integer"),
        ({"temperature": -1}, ("temperature",), "greater than or equal to 0"),
        ({"top_p": 0}, ("top_p",), "greater than 0"),
        ({"seed": -1}, ("seed",), "greater than or equal to 0"),
        ({"stop": ["a"] * 5}, ("stop",), "at most 4 items"),
        ({"stop": ""}, ("stop",), "at least 1 character"),
        ({"frequency_penalty": 0.5}, ("frequency_penalty",), "not supported"),
        ({"presence_penalty": -2}, ("presence_penalty",), "not supported"),
        ({"logit_bias": {"50256": -100}}, ("logit_bias",), "not supported"),
        ({"logprobs": 0}, ("logprobs",), "not supported; a session's step answers `log_prob`"),
        ({"logprobs": 5}, ("logprobs",), "not supported; a session's step answers `log_prob`"),
        ({"suffix": "."}, ("suffix",), "nothing is inserted"),
        ({"stream_options": {"include_usage": True}}, ("stream_options",), "only with stream"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            ("stream_options", "include_obfuscation"),
            "not padded",
        ),
        ({"messages": []}, ("messages",), "no such field"),
    ],
)
def test_what_would_be_ignored_or_is_wrong_is_refused(fields: dict[str, Any], location: Location, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        request(**fields)
    assert [where for where, _ in refused.value.errors] == [location]


def test_every_field_is_in_the_docs() -> None:
    table = PAGE.partition("\n## In OpenAI's form\n")[2].partition("\n## ")[0]
    told = {name for row in table.splitlines() if row.startswith("|") for name in re.findall(r"`(\w+)`", row)}
    assert set(CompletionRequest.model_fields) <= told
    assert f"at most {MAX_CHOICES} texts" in table
