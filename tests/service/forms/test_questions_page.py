"""`docs/questions.md` against the forms and the constants that it tells of."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from service.api.body_reader import MAX_PARTS
from service.api.endpoint import Endpoint
from service.api.endpoints import DOCUMENTED, MAX_PAGE
from service.api.steps.binary import MAX_VALUES
from service.api.stream.connection import MAX_IN_FLIGHT
from service.bundle.manifest import read_bundle
from service.bundle.tasks import CaptionTask, ForecastingTask, MusicTask
from service.errors import MAX_LISTED_MISTAKES, QueueFull, ServiceError
from service.forms.form import MAX_CHARACTERS_TOGETHER, MAX_TEXT_CHARACTERS, MAX_TEXTS, Question
from service.forms.steps import MAX_ITEMS, MAX_STEP_ITEMS
from service.forms.tagging import MAX_TEXT_WORDS, MAX_WORDS_TOGETHER
from service.media.text import MAX_WORD_CHARACTERS
from service.settings import EngineSettings, ServerSettings
from service.steps.open_turns import MAX_WAITING_PER_SESSION
from service.tasks.character_encoder import MAX_CACHED_WORDS, MAX_WAITING_WORDS
from service.tasks.sentiment import StreamingSentimentModel, WholeTextSentimentModel
from service.tasks.tagging import MANY_AT_ONCE, MANY_WORDS, StreamingTaggingModel, WholeTaggingModel
from service.tasks.task import MAX_ANSWERED_VALUES
from service.tasks.translation import TEXTS_AT_ONCE
from tests.paths import ROOT

PAGE = (ROOT / "docs/questions.md").read_text()
ASKED = [operation for operation in DOCUMENTED if operation.request and issubclass(operation.request, Question)]
LIMITS = {"maxLength", "maxItems", "maxProperties", "minimum", "maximum", "exclusiveMinimum"}
OF_BUNDLES = 2**31 - 1  # from here on, what a form allows says nothing of what a bundle does


def section(path: str) -> str:
    """What the page has of a question."""
    return PAGE.partition(f"\n## {path}\n")[2].partition("\n## ")[0]


def rows(path: str) -> dict[str, tuple[str, str]]:
    """Default and limits of each field."""
    found = re.findall(r"^\| `(\w+)` \|(.*?)\|(.*)\|$", section(path), re.MULTILINE)
    return {field: (default.strip(), limits) for field, default, limits in found}


def limits_of(schema: object) -> Iterator[float]:
    """Every limit in a schema, but those by which nothing is empty."""
    if isinstance(schema, dict):
        yield from (float(value) for key, value in schema.items() if key in LIMITS)
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from limits_of(each)


def numbers(text: str) -> set[float]:
    """The numbers in a text."""
    return {float(number.replace(",", "")) for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)}


@pytest.mark.parametrize("operation", ASKED, ids=lambda operation: operation.path)
def test_every_field_of_a_question_is_told_with_its_default_and_its_limits(operation: Endpoint) -> None:
    assert operation.request is not None
    fields: dict[str, Any] = operation.request.model_json_schema()["properties"]
    told = rows(operation.path)
    assert list(told) == list(fields)
    for field, schema in fields.items():
        default, limits = told[field]
        assert default == (json.dumps(schema["default"]) if "default" in schema else ""), field
        assert {limit for limit in limits_of(schema) if abs(limit) < OF_BUNDLES} <= numbers(limits), field


def test_every_question_is_on_the_page_and_linked() -> None:
    assert re.findall(r"^## (/[\w/]+)$", PAGE, re.MULTILINE) == [operation.path for operation in ASKED]
    assert "(docs/questions.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("operation", ASKED, ids=lambda operation: operation.path)
def test_every_field_of_an_answer_is_told(operation: Endpoint) -> None:
    assert operation.answer is not None
    assert issubclass(operation.answer, BaseModel)
    answered = section(operation.path).partition("Answered: ")[2]
    assert set(operation.answer.model_fields) <= set(re.findall(r"`(\w+)`", answered))


@pytest.mark.parametrize(
    "limit",
    [
        f"{ServerSettings.model_fields['max_body_bytes'].default:,} bytes",
        f"{ServerSettings.model_fields['request_timeout_seconds'].default:g} seconds",
        f"{EngineSettings.model_fields['max_queue_rows'].default:,} rows",
        f"{MAX_PARTS:,} lists and objects",
        f"{MAX_TEXT_CHARACTERS:,} characters",
        f"{MAX_TEXT_WORDS:,} words",
        f"{MAX_WORDS_TOGETHER:,} words together",
        f"{MAX_STEP_ITEMS:,} ids",
        f"{MAX_TEXTS} texts",
        f"{MAX_CHARACTERS_TOGETHER:,} characters together",
        f"{MAX_WORD_CHARACTERS:,} characters a word",
        f"{MAX_ITEMS:,} items",
        f"{MAX_VALUES:,} values",
        f"{MAX_ANSWERED_VALUES:,} logits",
        f"{MAX_WAITING_PER_SESSION} waiting steps",
        f"{MAX_IN_FLIGHT} steps in flight",
        f"{MAX_PAGE:,} sessions",
        f"{MAX_CACHED_WORDS:,}",
        f"{MAX_WAITING_WORDS} words at a time",
        f"{TEXTS_AT_ONCE} texts at a time",
    ],
)
def test_a_limit_is_as_the_code_has_it(limit: str) -> None:
    assert re.search(rf"\| [^|]*\b{limit}\b", PAGE)


def test_how_lists_fit_is_as_the_code_has_it() -> None:
    page = " ".join(PAGE.split())
    num_rows = MAX_TEXTS * WholeTextSentimentModel.num_rows_of_text
    assert EngineSettings.model_fields["max_queue_rows"].default == 8 * num_rows
    assert "eight lists of 256 texts fit side by side" in page
    assert (StreamingSentimentModel.num_rows_of_text, StreamingTaggingModel.num_rows_of_text) == (1, 1)
    assert WholeTaggingModel.num_rows_of_text == 2
    assert (MANY_AT_ONCE, f"requests with more than {MANY_WORDS:,} words two at a time" in page) == (2, True)
    assert f"of all lists with more than {TEXTS_AT_ONCE}" in page
    assert f"names the first {MAX_LISTED_MISTAKES} texts" in page
    assert f"After `queue-full` it is {QueueFull.retry_after_seconds} seconds" in page


def test_every_refusal_is_told_with_its_status() -> None:
    told = {
        (int(status), code)
        for status, codes in re.findall(r"^\| (\d{3}) \| (`[^|]*) \|", PAGE, re.MULTILINE)
        for code in re.findall("`([a-z-]+)`", codes)
    }
    assert told == {(kind.status, kind.code) for kind in kinds_of(ServiceError)}


def kinds_of(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """A class of refusals and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_of(below)


def test_what_the_shipped_bundles_allow_is_told() -> None:
    tasks = [read_bundle(path.parent).manifest.task for path in (ROOT / "models").glob("*/manifest.json")]
    assert {ForecastingTask, MusicTask, CaptionTask} <= set(map(type, tasks))
    for task in tasks:
        match task:
            case ForecastingTask():
                assert task.max_horizon in numbers(rows("/forecast")["horizon"][1])
                assert {task.quantiles[0], task.quantiles[-1]} <= numbers(rows("/forecast")["quantiles"][1])
            case MusicTask():
                assert f"know {task.lowest} to {task.highest}" in rows("/compose")["notes"][1]
            case CaptionTask():
                assert f"{task.size} by {task.size}, from 0 to {task.largest:g}" in rows("/caption")["image"][1]
