"""The OpenAPI document."""

import re
from collections.abc import Iterator
from typing import Any, get_args
from urllib.parse import urljoin

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from service.api.endpoint import Endpoint
from service.api.endpoints import DOCUMENTED, PUBLIC_PATHS, QUESTIONS, SERVICE
from service.api.media_types import BLOB, OCTETS
from service.api.openapi import openapi_document
from service.api.problem import problem_of
from service.bundle.manifest import read_bundle
from service.errors import InvalidInput, NumericsChanged, ServiceError, SessionGone, StepConflict
from service.forms.completions import Choice, Completion, CompletionModel, CompletionModels
from service.forms.form import Question
from service.forms.generation import Usage
from service.forms.models import ModelView
from service.forms.open_inference import TensorMetadata
from service.forms.repository import VersionIndex
from service.forms.tagging import TaggedToken
from service.tasks.translation import TranslationModel
from tests.paths import MODELS
from tests.service.api.listing import listing_of

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


def forms_within(form: type[BaseModel]) -> set[type[BaseModel]]:
    """A form and all forms that its fields hold."""
    seen, ahead = set[type[BaseModel]](), {form}
    while ahead:
        seen |= ahead
        kinds = [field.annotation for each in ahead for field in each.model_fields.values()]
        ahead = {part for kind in kinds for part in parts(kind) if part not in seen}
    return seen


def parts(kind: Any) -> set[type[BaseModel]]:  # noqa: ANN401
    """The forms that an annotation names."""
    own = {kind} if isinstance(kind, type) and issubclass(kind, BaseModel) else set[type[BaseModel]]()
    return own.union(*map(parts, get_args(kind)))


ANSWER_FORMS = {form for each in DOCUMENTED if each.answer for form in forms_within(each.answer)}
# Whose JSON is not made by `form_response`, which sends nothing that is null.
DUMPED = {
    form
    for each in DOCUMENTED
    if each.answer and (each.tag == QUESTIONS or each.path.startswith("/v1/"))
    for form in forms_within(each.answer)
}


def test_forms_are_found_within_forms() -> None:
    assert {TaggedToken, Usage, TensorMetadata} <= ANSWER_FORMS
    assert TaggedToken in DUMPED
    assert TensorMetadata not in DUMPED


def test_a_field_that_an_answer_leaves_out_is_told_as_optional_and_never_null() -> None:
    """Generators make a field with a default one that is always sent."""
    for form in ANSWER_FORMS - {VersionIndex}:
        schema = SCHEMAS[form.__name__]
        for field in schema["properties"].keys() - set(schema.get("required", ())):
            assert "default" not in schema["properties"][field], (form, field)
    kinds = SCHEMAS["ItemAnswer"]["properties"]
    told = {field: kinds[field]["type"] for field in ("session_id", "status", "step")}
    assert told == {"session_id": "string", "status": "integer", "step": "integer"}


def test_a_field_that_is_told_as_never_null_is_left_out_where_it_is() -> None:
    nullable = {form: [*fields_with_null(form)] for form in DUMPED}
    assert nullable[TaggedToken] == ["start", "end"]
    for form, fields in nullable.items():
        for name in fields:
            is_left_out = form.model_fields[name].exclude_if
            told = SCHEMAS[form.__name__]["properties"][name]
            assert (is_left_out is not None and is_left_out(None)) or may_be_null(told), (form, name)


def fields_with_null(form: type[BaseModel]) -> Iterator[str]:
    """Fields that may be None."""
    return (name for name, field in form.model_fields.items() if type(None) in get_args(field.annotation))


def may_be_null(schema: dict[str, Any]) -> bool:
    """Whether a schema tells null."""
    return {"type": "null"} in schema.get("anyOf", [schema])


def test_chunks_of_openais_form_may_have_no_usage() -> None:
    usage = SCHEMAS["Completion"]["properties"]["usage"]
    assert may_be_null(usage)
    assert "default" not in usage


@pytest.mark.parametrize("form", ["StepRequest", "StepItem"])
def test_inputs_of_a_step_are_told_as_the_forms_of_all_models(form: str) -> None:
    inputs = references(SCHEMAS[form]["properties"]["inputs"])
    assert inputs == {
        f"#/components/schemas/{name}Step"
        for name in ("Character", "Text", "Readings", "Music", "Tag", "Ids", "Segments")
    }
    assert references(SCHEMAS[form]["properties"]["return"]) == {"#/components/schemas/Returned"}


@pytest.mark.parametrize("form", ["StepAnswer", "ItemAnswer"])
def test_outputs_of_a_step_are_told_as_the_forms_of_all_models(form: str) -> None:
    kinds = [kind["$ref"].rpartition("/")[2] for kind in SCHEMAS[form]["properties"]["outputs"]["anyOf"]]
    own = {"NextCharacters", "Continuation", "NextNotes", "Composition", "ReadingsAnswer", "Sentiment", "TagStepAnswer"}
    assert {*kinds[:-1]} == own
    assert kinds[-1] == "TensorOutputs"  # anything fits it, and generated clients take the first that fits
    assert all(SCHEMAS[kind]["required"] for kind in own)


def test_a_refused_item_has_a_problem() -> None:
    assert SCHEMAS["ItemAnswer"]["properties"]["problem"]["$ref"] == "#/components/schemas/Problem"


def test_no_form_has_rules_that_generators_leave_it_out_for() -> None:
    objects = {name for name, schema in SCHEMAS.items() if schema.get("type") == "object"}
    assert {name for name in objects if SCHEMAS[name].keys() & {"oneOf", "anyOf", "dependentSchemas"}} == set()


def test_a_default_that_generators_cannot_write_is_not_told() -> None:
    """openapi-python-client leaves out an operation whose form has an object by default, and writes a list as text."""
    for name, schema in SCHEMAS.items():
        for field, each in schema.get("properties", {}).items():
            assert not isinstance(each.get("default"), dict) or "$ref" in each, (name, field)
            assert each.get("default") != [], (name, field)


def test_an_import_has_no_type_that_generators_leave_it_out_for() -> None:
    assert list(DOCUMENT["paths"]["/sessions/import"]["post"]["requestBody"]["content"]) == [OCTETS]


def test_an_export_has_a_type_that_generators_know() -> None:
    exported = responses("/sessions/{session_id}/state")["200"]["content"]
    assert list(exported) == [BLOB, OCTETS]


def test_a_key_of_a_retry_is_told_as_it_is_taken() -> None:
    for path in ("/sessions", "/sessions/import", "/sessions/{session_id}/fork"):
        (key,) = [each for each in DOCUMENT["paths"][path]["post"]["parameters"] if each["in"] == "header"]
        assert (key["name"], key["schema"]["minLength"], key["schema"]["maxLength"]) == ("Idempotency-Key", 1, 255)
        assert re.fullmatch(key["schema"]["pattern"], "!once~")
        assert not re.fullmatch(key["schema"]["pattern"], "on ce")


def test_clients_keep_the_prefix_of_a_proxy() -> None:
    (server,) = DOCUMENT["servers"]
    assert urljoin("https://models.example/rnn/docs.json", server["url"]) == "https://models.example/rnn/"


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
    assert headers("/sessions/{session_id}/state", "200", "get") == set()
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
    empty = PUBLIC_PATHS | {"/sessions/{session_id}"}
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
    assert {path for path, operation in operations if operation.get("security") == []} == PUBLIC_PATHS - {
        "/ui",
        "/",
        "/static_content",
        "/docs.json",
    }


@pytest.mark.anyio
async def test_models_are_as_the_document_has_them() -> None:
    for model in (await listing_of("sentiment", "entities")).values():
        ModelView.model_validate_json(orjson.dumps(model))


def test_the_beams_that_shipped_bundles_take_are_told() -> None:
    assert "ship take 8" in SCHEMAS["TranslateRequest"]["properties"]["beams"]["description"]
    paths = [*MODELS.glob("translation-*")]
    assert paths
    for path in paths:
        assert TranslationModel._num_candidates(read_bundle(path)) // 2 == 8
