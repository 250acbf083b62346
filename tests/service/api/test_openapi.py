"""The OpenAPI document."""

import re
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from service.api.endpoint import Endpoint
from service.api.endpoints import DOCUMENTED, OPEN_PATHS, QUESTIONS, SERVICE
from service.api.openapi import openapi_document
from service.api.problem import problem_of
from service.bundle.manifest import read_bundle
from service.errors import InvalidInput, NumericsChanged, ServiceError, SessionGone, StepConflict
from service.forms.completions import Choice, Completion, CompletionModel, CompletionModels
from service.forms.form import Question
from service.forms.models import ModelView
from service.tasks.translation import TranslationModel
from tests.service.api.test_models import SHIPPED, told

PAGES = {"/", "/static_content", "/docs.json", "/ui"}
DOCUMENT = openapi_document(needs_key=False)
SCHEMAS = DOCUMENT["components"]["schemas"]
ASKED = [operation for operation in DOCUMENTED if operation.request and issubclass(operation.request, Question)]


def references(node: object) -> set[str]:
    """All that is referred to."""
    match node:
        case dict():
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*map(references, node.values()))
        case list():
            return set[str]().union(*map(references, node))
        case _:
            return set()


def closed(form: type[BaseModel]) -> set[str]:
    """The schemas that a form leads to which allow no field but their own."""
    seen, ahead = set[str](), {form.__name__}
    while ahead:
        seen |= ahead
        ahead = {each.rpartition("/")[2] for name in ahead for each in references(SCHEMAS[name])} - seen
    return {name for name in seen if SCHEMAS[name].get("additionalProperties") is False}


def responses(path: str, method: str = "get") -> dict[str, Any]:
    """What an operation answers."""
    answers: dict[str, Any] = DOCUMENT["paths"][path][method]["responses"]
    return answers


def test_every_reference_leads_somewhere_and_nothing_is_there_that_none_leads_to() -> None:
    assert references(DOCUMENT) == {f"#/components/schemas/{name}" for name in SCHEMAS}


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert all(re.fullmatch("[a-z_]+", name) for name in names)
    assert len(set(names)) == len(names)


def test_answers_may_gain_fields_and_requests_may_not() -> None:
    """Strictly generated clients would fail at the first new one."""
    for endpoint in DOCUMENTED:
        assert endpoint.answer is None or not closed(endpoint.answer), endpoint.name
        assert endpoint.request is None or endpoint.request.__name__ in closed(endpoint.request), endpoint.name


def described(schema: dict[str, Any]) -> bool:
    """Whether a schema says what it is for, itself or by what it refers to."""
    return "description" in schema or "description" in SCHEMAS.get(schema.get("$ref", "").rpartition("/")[2], {})


def test_everything_is_described() -> None:
    for name, schema in SCHEMAS.items():
        assert described(schema), name
        for field, each in schema.get("properties", {}).items():
            assert described(each), (name, field)
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            assert all("description" in each for each in operation.get("parameters", ()))


def test_every_parameter_of_a_path_is_told_once() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            told = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
            assert sorted(told) == sorted(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize(
    "operation", [each for each in DOCUMENTED if each.request], ids=lambda operation: operation.name
)
def test_an_example_shows_how_to_ask(operation: Endpoint) -> None:
    """What the API page fills in to be tried."""
    assert operation.request is not None
    asked = DOCUMENT["paths"][operation.path][operation.method.lower()]["requestBody"]
    operation.request.model_validate_json(orjson.dumps(asked["content"]["application/json"]["example"]))


def headers(path: str, status: str, method: str = "post") -> set[str]:
    """Which header fields an answer has."""
    return set(responses(path, method)[status]["headers"]) - {"X-Request-ID"}


def test_header_fields_are_told_where_they_are_sent() -> None:
    for path in ("/sessions", "/sessions/import", "/sessions/{session_id}/fork"):
        assert headers(path, "201") == {"Location"}
    for path in ("/steps", "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"):
        assert headers(path, "200") == {"Inference-Header-Content-Length"}
    assert headers("/compose", "200") == {"Content-Disposition"}
    assert headers("/tag", "200") == set()
    assert headers("/tag", "default") == {"Retry-After", "WWW-Authenticate"}


def test_every_answer_may_bear_the_id_of_its_request() -> None:
    operations = [operation for item in DOCUMENT["paths"].values() for operation in item.values()]
    for operation in operations:
        assert all("X-Request-ID" in answer["headers"] for answer in operation["responses"].values())


@pytest.mark.parametrize("form", [Completion, Choice, CompletionModel, CompletionModels])
def test_what_openais_clients_are_always_sent_is_required(form: type[BaseModel]) -> None:
    assert set(SCHEMAS[form.__name__]["required"]) == set(form.model_fields) - {"usage"}


@pytest.mark.parametrize(
    ("form", "field"), [("GenerateRequest", "seed"), ("GenerateAnswer", "seed"), ("StepRequest", "step")]
)
def test_numbers_that_need_64_bits_say_so(form: str, field: str) -> None:
    """Generated clients take 32 otherwise."""
    assert "'format': 'int64'" in str(SCHEMAS[form]["properties"][field])


def test_every_member_of_a_problem_is_told() -> None:
    members = set(SCHEMAS["Problem"]["properties"])
    refusals: list[ServiceError] = [
        InvalidInput("no", ("text",)),
        StepConflict("no", 3),
        SessionGone("no", "ended"),
        NumericsChanged("no", "one", "other"),
    ]
    for refusal in refusals:
        assert set(problem_of(refusal)) <= members


def test_what_is_null_by_default_may_be_null() -> None:
    for name, schema in SCHEMAS.items():
        for field, each in schema.get("properties", {}).items():
            kinds = {kind.get("type") for kind in each.get("anyOf", each.get("oneOf", [each]))}
            assert "null" in kinds or each.get("default", ...) is not None, (name, field)


@pytest.mark.parametrize("operation", ASKED, ids=lambda operation: operation.path)
def test_a_question_needs_a_body_unless_it_may_be_empty(operation: Any) -> None:  # noqa: ANN401
    asked = DOCUMENT["paths"][operation.path]["post"]
    try:
        operation.request.model_validate({})
        may_be_empty = True
    except ValidationError:
        may_be_empty = False
    assert asked["requestBody"]["required"] is not may_be_empty
    assert asked["tags"] == [QUESTIONS]


@pytest.mark.parametrize(
    "path", ["/v2/repository/models/{name}/load", "/sessions/{session_id}/fork", "/sessions/{session_id}/migrate"]
)
def test_what_has_defaults_for_everything_needs_no_body(path: str) -> None:
    assert not DOCUMENT["paths"][path]["post"]["requestBody"]["required"]


def test_every_answer_but_an_empty_one_has_a_content() -> None:
    empty = OPEN_PATHS | {"/sessions/{session_id}"}
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            told = {status for status, answer in operation["responses"].items() if answer.get("content")}
            assert told == set(operation["responses"]) or (path in empty and method in {"get", "delete"}), path
    assert responses("/readyz")["503"]["content"].keys() == {"application/problem+json"}
    assert responses("/metrics")["200"]["content"].keys() == {"text/plain"}


@pytest.mark.parametrize("path", ["/steps", "/v1/models", "/v2/models/{name}", "/v2/repository/index"])
def test_a_refusal_that_is_expected_has_the_form_of_all_others_on_its_path(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint("GET", path, "ask", "Ask", tag=SERVICE, refusals={503: "Not yet"})
    monkeypatch.setattr("service.api.openapi.DOCUMENTED", (*DOCUMENTED, endpoint))
    told = openapi_document(needs_key=False)["paths"][path]["get"]["responses"]
    assert told["503"] == {**told["default"], "description": "Not yet"}


@pytest.mark.parametrize("path", ["/generate", "/sessions/{session_id}/steps"])
def test_every_event_of_a_stream_is_told(path: str) -> None:
    events = responses(path, "post")["200"]["content"]["text/event-stream"]["schema"]["description"]
    assert set(re.findall("`([a-z]+)`", events)) == {"text", "frames", "done", "error"}


@pytest.mark.parametrize("needs_key", [False, True])
def test_a_key_is_needed_where_keys_are_configured_but_for_probes(needs_key: bool) -> None:
    document = openapi_document(needs_key)
    (scheme,) = document["components"]["securitySchemes"]
    assert document["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    assert document["security"] == [*([] if needs_key else [{}]), {scheme: []}]
    operations = ((path, operation) for path, item in document["paths"].items() for operation in item.values())
    assert {path for path, operation in operations if operation.get("security") == []} == OPEN_PATHS - {
        "/ui",
        "/",
        "/static_content",
        "/docs.json",
    }


@pytest.mark.anyio
async def test_models_are_as_the_document_has_them() -> None:
    for model in (await told("sentiment", "entities")).values():
        ModelView.model_validate_json(orjson.dumps(model))


def test_the_beams_that_shipped_bundles_take_are_told() -> None:
    assert "ship take 8" in SCHEMAS["TranslateRequest"]["properties"]["beams"]["description"]
    for path in SHIPPED.glob("translation-*"):
        assert TranslationModel._num_candidates(read_bundle(path)) // 2 == 8
