"""One OpenAPI document for BentoML's endpoints and the plain routes together.

BentoML's own document is not used: it does not say which fields may be null, nor how an operation may be refused.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.endpoint import Endpoint, Schemas
from service.api.endpoints import DOCUMENTED, QUESTIONS, SERVICE, SESSIONS, TAKE_STEPS
from service.api.media_types import JSON, MIDI, OCTETS
from service.api.refusal_forms import REFUSAL_FORMS, refusal_form
from service.catalog import MODELS
from service.forms.form import Form
from service.forms.steps import ItemAnswer, StepAnswer, StepItem, StepRequest, TensorOutputs
from service.tasks.task import SequenceModel, TensorModel
from service.version import own_version

DESCRIPTION = (
    "Recurrent networks. Sentiment, text generation, music, forecasts and tags also have sessions; translation, "
    "captions and models that read from both ends take whole inputs only. "
    "`GET /models` lists the models; try them at `/ui`. "
    "`WS /stream` takes the items of `POST /steps` as text messages, each with an `id` that its answer echoes."
)
_SCHEMAS = "#/components/schemas/{model}"
# What the steps of each model read. Which form a step takes depends on its session's model.
STEP_FORMS = sorted(
    {model.inputs_form for model in MODELS if issubclass(model, SequenceModel)}
    | {model.tensors_form for model in MODELS if issubclass(model, TensorModel)},
    key=lambda form: form.__name__,
)
# What they return. Generated clients take the first that fits, and any outputs fit `TensorOutputs`.
STEP_OUTPUTS: tuple[type[Form], ...] = (
    *sorted(
        {form for model in MODELS if issubclass(model, SequenceModel) for form in model.outputs_forms},
        key=lambda form: form.__name__,
    ),
    TensorOutputs,
)
_RULES = ("oneOf", "anyOf", "dependentSchemas")


def _header(name: str, description: str, kind: str = "string") -> dict[str, Any]:
    return {name: {"description": description, "schema": {"type": kind}}}


_REQUEST_ID = _header("X-Request-ID", "Id of the request; left out if the request has none")
_OF_REFUSALS = {
    **_header("Retry-After", "Seconds to wait before a retry; sent with 429 `too-busy` and 503", "integer"),
    **_header("WWW-Authenticate", 'Sent with 401: `Bearer realm="unrolled"`'),
    **_REQUEST_ID,
}
_LOCATION = _header("Location", "Path of the session")
_OF_CONTENT = {
    MIDI: _header("Content-Disposition", "File name for a MIDI file"),
    OCTETS: _header("Inference-Header-Content-Length", "Length of the JSON in a binary answer, in bytes", "integer"),
}
_IN_PATHS = {
    "name": "Name of a bundle",
    "version": "Version of the bundle",
    "session_id": "Id of the session, from the answer that opened it",
}
_KEY = "key"
_SECURITY_SCHEMES = {_KEY: {"type": "http", "scheme": "bearer", "bearerFormat": "unr_...", "description": "An API key"}}
TAGS = {
    QUESTIONS: "Whole inputs, answered in one response or as a stream.",
    SESSIONS: "Inputs that arrive in pieces, with the state kept in between.",
    SERVICE: "What is served, and whether it is healthy.",
}


def openapi_document(needs_key: bool) -> dict[str, Any]:
    """Return the OpenAPI document of all surfaces. `needs_key` says whether callers must show an API key."""
    paths: dict[str, Any] = {}
    for endpoint in DOCUMENTED:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _described(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Unrolled", "version": own_version(), "description": DESCRIPTION},
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "servers": [{"url": "./", "description": "Server of this document, including a proxy's path prefix"}],
        "security": [{_KEY: []}] if needs_key else [{}, {_KEY: []}],
        "paths": paths,
        "components": {"schemas": _all_schemas(), "securitySchemes": _SECURITY_SCHEMES},
    }


def _all_schemas() -> dict[str, Any]:
    """Return the schemas of all requests, answers and refusals, by name."""
    requests = _schemas({*(endpoint.request for endpoint in DOCUMENTED if endpoint.request), *STEP_FORMS})
    answers = _schemas({*(endpoint.answer for endpoint in DOCUMENTED if endpoint.answer), *STEP_OUTPUTS})
    schemas = {
        **{name: _of_request(schema) for name, schema in requests.items()},
        **{name: _of_answer(schema) for name, schema in answers.items()},
        **{form.name: form.schema for form in REFUSAL_FORMS},
    }
    for form, field, kinds in (
        (StepRequest, "inputs", STEP_FORMS),
        (StepItem, "inputs", STEP_FORMS),
        (StepAnswer, "outputs", STEP_OUTPUTS),
        (ItemAnswer, "outputs", STEP_OUTPUTS),
    ):
        _replace_type(schemas[form.__name__], field, {"anyOf": [_reference(kind.__name__) for kind in kinds]})
    _replace_type(schemas[ItemAnswer.__name__], "problem", _reference(refusal_form(TAKE_STEPS.path).name))
    return schemas


def _replace_type(schema: Mapping[str, Any], field: str, kind: Mapping[str, Any]) -> None:
    """Replace the type of a field that its form declares as any object."""
    own = schema["properties"]
    own[field] = {**kind, **{key: own[field][key] for key in ("description", "examples") if key in own[field]}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=name)}


def _schemas(forms: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Return the JSON Schemas of forms and of everything that they refer to, by name."""
    in_order = sorted(forms, key=lambda form: form.__name__)
    _, schemas = models_json_schema([(form, "validation") for form in in_order], ref_template=_SCHEMAS)
    definitions: dict[str, Any] = schemas["$defs"]
    return definitions


def _of_request(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's schema without what some generators stumble over.

    They skip a form with rules that combine fields, and write a list by default as the string "[]".
    """
    opened = {key: value for key, value in schema.items() if key not in _RULES}
    if "properties" in schema:
        opened["properties"] = {
            name: {key: value for key, value in field.items() if (key, value) != ("default", [])}
            for name, field in schema["properties"].items()
        }
    return opened


def _of_answer(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer's schema without the ban on unknown fields, so that a new field breaks no generated client."""
    opened = {key: value for key, value in schema.items() if (key, value) != ("additionalProperties", False)}
    required = schema.get("required", ())
    if "properties" in schema:
        opened["properties"] = {
            name: field if name in required else _optional_field(field) for name, field in schema["properties"].items()
        }
    return opened


def _optional_field(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional answer field without null and default, which generators would take for sent."""
    if field.get("default", ...) is not None:
        return {key: value for key, value in field.items() if key != "default"}
    kinds = [kind for kind in field["anyOf"] if kind != {"type": "null"}]
    kept = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
    return {**(kinds[0] if len(kinds) == 1 else {"anyOf": kinds}), **kept}


def _described(endpoint: Endpoint) -> dict[str, Any]:
    refusal = _refusal(endpoint.path)
    described: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": {
            str(endpoint.status): {
                "description": endpoint.summary,
                "headers": _headers(endpoint),
                **_content(endpoint.answer, endpoint.response_types),
            },
            "default": refusal,
            **{str(status): {**refusal, "description": meant} for status, meant in endpoint.refusals.items()},
        },
    }
    if sent := _content(endpoint.request, endpoint.request_types):
        if endpoint.request:
            sent["content"][JSON]["example"] = _example(endpoint.request)
        described["requestBody"] = {"required": endpoint.needs_body, **sent}
    described_elsewhere = {parameter["name"] for parameter in endpoint.parameters}
    in_path = [_path(name) for name in re.findall(r"{(\w+)}", endpoint.path) if name not in described_elsewhere]
    if parameters := [*in_path, *endpoint.parameters]:
        described["parameters"] = parameters
    if endpoint.is_public:
        described["security"] = []
    return described


def _content(form: type[BaseModel] | None, others: Schemas) -> dict[str, Any]:
    """Return the content of a request or an answer by media type. Empty if there is none."""
    schemas = {} if form is None else {JSON: _reference(form.__name__)}
    content = {kind: {"schema": schema} for kind, schema in {**schemas, **others}.items()}
    return {"content": content} if content else {}


def _example(form: type[BaseModel]) -> dict[str, Any]:
    """Return the example that the API page fills in.

    Without it the page makes up a value for every field, and some fields exclude each other.
    """
    return {name: field.examples[0] for name, field in form.model_fields.items() if field.examples}


def _headers(endpoint: Endpoint) -> dict[str, Any]:
    """Return the header fields of an answer."""
    headers = dict(_REQUEST_ID)
    if endpoint.status == HTTPStatus.CREATED:
        headers |= _LOCATION
    if endpoint.answer is not None:
        for kind in _OF_CONTENT.keys() & endpoint.response_types:
            headers |= _OF_CONTENT[kind]
    return headers


def _refusal(path: str) -> dict[str, Any]:
    """Describe the refusals on a path."""
    form = refusal_form(path)
    return {
        "description": form.schema["description"],
        "headers": _OF_REFUSALS,
        "content": {form.media_type: {"schema": _reference(form.name)}},
    }


def _path(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": _IN_PATHS[name],
    }
