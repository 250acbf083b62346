"""One OpenAPI document for BentoML's endpoints and the plain routes together.

BentoML's own document is not used: it leaves out that a field may be null, and what an operation may be refused with.
"""

import re
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.auth import OPEN_PATHS
from service.api.body import BLOB
from service.api.error_form import is_open_inference
from service.api.openai import COMPLETIONS, MODELS
from service.api.openai_error import ERROR, V1
from service.api.question_routes import MIDI
from service.api.sessions import MAX_PAGE
from service.forms.caption import CaptionAnswer, CaptionRequest
from service.forms.completions import Completion, CompletionModel, CompletionModels, CompletionRequest
from service.forms.forecasting import ForecastAnswer, ForecastRequest
from service.forms.form import Question
from service.forms.generation import GenerateAnswer, GenerateRequest
from service.forms.models import ModelList
from service.forms.music import ComposeAnswer, ComposeRequest
from service.forms.open_inference import InferAnswer, InferRequest, ModelMetadata, ModelReady, ServerMetadata
from service.forms.repository import LoadRequest, VersionEntry, VersionIndex
from service.forms.sentiment import SentimentAnswer, SentimentRequest
from service.forms.sessions import (
    ForkRequest,
    MigrateRequest,
    RollbackRequest,
    SessionPage,
    SessionRequest,
    SessionView,
)
from service.forms.steps import ItemAnswers, StepAnswer, StepItems, StepRequest
from service.forms.tagging import TagAnswer, TagRequest
from service.forms.translation import TranslateAnswer, TranslateRequest

DESCRIPTION = (
    "Recurrent networks. With sessions: sentiment, texts, music, forecasts, tags; whole inputs only: translation, "
    "captions, and models that read from both ends. "
    "`GET /models` tells what is served, and `/ui` lets a browser try it. "
    "`WS /stream` takes the items of `POST /steps` as text messages, each with an `id` that its answer echoes."
)
_SCHEMAS = "#/components/schemas/{model}"
_PROBLEM = {
    "description": "Problem (RFC 9457)",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string", "format": "uri"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "errors": {"type": "array", "description": "422: what is wrong, and where", "items": {}},
                    "expected_step": {"type": "integer", "description": "409: the next step"},
                    "reason": {"type": "string", "description": "410: why the session is over"},
                },
            }
        }
    },
}
_ERROR = {
    "description": "Error of the Open Inference Protocol",
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
        }
    },
}
_EVENTS = {
    "schema": {
        "type": "string",
        "description": 'With `"stream": true`: events `text` with pieces of a text, or `frames` with those of music; '
        "then `done`, or `error` with a problem",
    },
}
_CHUNKS = {
    "schema": {"type": "string", "description": 'With `"stream": true`: chunks of the same form, then `[DONE]`'},
}
_BINARY = {
    "schema": {
        "type": "string",
        "format": "binary",
        "description": "JSON, then the tensor; `Inference-Header-Content-Length` tells where the JSON ends",
    }
}
_BLOB_SCHEMA = {"schema": {"type": "string", "format": "binary"}}
_BLOB = {BLOB: _BLOB_SCHEMA}
_KEY = "key"
_SECURITY_SCHEMES = {_KEY: {"type": "http", "scheme": "bearer", "bearerFormat": "unr_...", "description": "An API key"}}


class Operation(NamedTuple):
    """A route as OpenAPI tells it."""

    method: str
    path: str
    summary: str
    request: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    parameters: tuple[dict[str, Any], ...] = ()
    needs_body: bool = True


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


_PAGING = (
    {"name": "after", "in": "query", "schema": {"type": "string"}, "description": "`next` of the page before"},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100}},
)
_ONCE = (
    {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "maxLength": 255},
        "description": "Sent again with the same request, it finds the session that was opened",
    },
)
_STEP = (
    {
        "name": "step",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0},
        "description": "Only as this step; may be repeated",
    },
)
_ONE = "/sessions/{session_id}"
_CHECKPOINT = _ONE + "/checkpoints/{name}"
_LOAD = "/v2/repository/models/{name}/load"
_MODEL = "/v2/models/{name}"
_VERSION = _MODEL + "/versions/{version}"
QUESTIONS, SESSIONS, SERVICE = "Questions", "Sessions", "Service"
TAGS = {
    QUESTIONS: "Whole inputs, answered at once or as a stream.",
    SESSIONS: "Inputs that arrive in pieces, with the state kept in between.",
    SERVICE: "What is served, and how it is doing.",
}
OPERATIONS = (
    Operation("post", "/sentiment", "Judge one text or several", SentimentRequest, SentimentAnswer),
    Operation("post", "/tag", "Tag words: parts of speech, or entities", TagRequest, TagAnswer),
    Operation("post", "/translate", "Translate one text or several", TranslateRequest, TranslateAnswer),
    Operation("post", "/generate", "Continue a text", GenerateRequest, GenerateAnswer, needs_body=False),
    Operation("post", "/compose", "Compose music", ComposeRequest, ComposeAnswer, needs_body=False),
    Operation("post", "/forecast", "Forecast every channel of a series", ForecastRequest, ForecastAnswer),
    Operation("post", "/caption", "Describe the image of a digit in a sentence", CaptionRequest, CaptionAnswer),
    Operation("post", "/sessions", "Open a session", SessionRequest, SessionView, 201, _ONCE),
    Operation("get", "/sessions", "List sessions, in pages", None, SessionPage, parameters=_PAGING),
    Operation("post", "/sessions/import", "Open a session from an exported one", None, SessionView, 201, _ONCE),
    Operation("get", _ONE, "Show a session", None, SessionView),
    Operation("delete", _ONE, "End a session", status=204),
    Operation("post", _ONE + "/steps", "Advance a session by one request", StepRequest, StepAnswer),
    Operation("post", _ONE + "/fork", "Open a session from this one's state", ForkRequest, SessionView, 201, _ONCE),
    Operation("put", _CHECKPOINT, "Save the state as a checkpoint, as a step", None, StepAnswer, 200, _STEP),
    Operation("delete", _CHECKPOINT, "Forget a checkpoint, as a step", None, StepAnswer, 200, _STEP),
    Operation("post", _ONE + "/rollback", "Return to a checkpoint, as a step", RollbackRequest, StepAnswer),
    Operation("post", _ONE + "/migrate", "Read all inputs again on another version", MigrateRequest, StepAnswer),
    Operation("get", _ONE + "/state", "Export a session as a signed blob"),
    Operation("post", "/steps", "Advance many sessions, each for itself", StepItems, ItemAnswers),
    Operation("post", COMPLETIONS, "Continue texts, in OpenAI's form", CompletionRequest, Completion),
    Operation("get", MODELS, "List the bundles that continue texts, in OpenAI's form", None, CompletionModels),
    Operation("get", MODELS + "/{name}", "Show one of them", None, CompletionModel),
    Operation("get", "/v2", "Tell of the server, as the Open Inference Protocol has it", None, ServerMetadata),
    Operation("get", "/v2/health/live", "Whether a worker is there"),
    Operation("get", "/v2/health/ready", "Whether every model can be asked"),
    *(
        operation
        for model, which in ((_MODEL, "a model"), (_VERSION, "a version of a model"))
        for operation in (
            Operation("get", model, f"Tell of the tensors of {which}", None, ModelMetadata),
            Operation("get", f"{model}/ready", f"Tell whether {which} can be asked", None, ModelReady),
            Operation("get", f"{model}/config", f"Tell how {which} is served, as Triton's clients read it"),
            Operation("post", f"{model}/infer", f"Ask {which} in tensors", InferRequest, InferAnswer),
        )
    ),
    Operation("get", "/models", "List what is served", None, ModelList),
    Operation("post", "/v2/repository/index", "List the versions that are loaded", None, VersionIndex),
    Operation("post", _LOAD, "Take up a bundle version on every worker", LoadRequest, VersionEntry, needs_body=False),
    Operation("get", "/metrics", "Metrics for Prometheus"),
    Operation("get", "/healthz", "Whether the process lives"),
    Operation("get", "/livez", "Whether the process lives"),
    Operation("get", "/readyz", "Whether questions and steps are answered"),
)


def own_version() -> str:
    """Version of the service."""
    try:
        return installed_version("unrolled")
    except PackageNotFoundError:  # in a Bento the sources are there, but not installed
        return "source"


def openapi_document(needs_key: bool) -> dict[str, Any]:
    """All that is served; `needs_key` says whether callers must show an API key."""
    forms = {form for operation in OPERATIONS for form in (operation.request, operation.answer) if form}
    _, schemas = models_json_schema(
        [(form, "validation") for form in sorted(forms, key=lambda form: form.__name__)], ref_template=_SCHEMAS
    )
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    _add_forms(paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Unrolled", "version": own_version(), "description": DESCRIPTION},
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "security": [{_KEY: []}] if needs_key else [{}, {_KEY: []}],
        "paths": paths,
        "components": {"schemas": schemas["$defs"], "securitySchemes": _SECURITY_SCHEMES},
    }


def _add_forms(paths: dict[str, Any]) -> None:
    """What is sent and answered in other forms than JSON."""
    paths["/compose"]["post"]["responses"]["200"]["content"][MIDI] = _BLOB_SCHEMA
    for path in ("/generate", _ONE + "/steps"):
        paths[path]["post"]["responses"]["200"]["content"]["text/event-stream"] = _EVENTS
    paths[COMPLETIONS]["post"]["responses"]["200"]["content"]["text/event-stream"] = _CHUNKS
    for path in ("/steps", _MODEL + "/infer", _VERSION + "/infer"):
        paths[path]["post"]["requestBody"]["content"]["application/octet-stream"] = _BINARY
        paths[path]["post"]["responses"]["200"]["content"]["application/octet-stream"] = _BINARY
    for path in (_MODEL + "/config", _VERSION + "/config"):
        paths[path]["get"]["responses"]["200"]["content"] = {"application/json": {"schema": {"type": "object"}}}
    paths["/sessions/import"]["post"]["requestBody"] = {"required": True, "content": _BLOB}
    paths[_ONE + "/state"]["get"]["responses"]["200"]["content"] = _BLOB
    paths["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    paths["/readyz"]["get"]["responses"]["503"] = {**_PROBLEM, "description": "Not yet, or no longer"}


def _described(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.answer:
        answer["content"] = _json_of(operation.answer)
    described: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [_tag(operation)],
        "responses": {
            str(operation.status): answer,
            "default": _refusal(operation.path),
        },
    }
    if operation.request:
        described["requestBody"] = {"required": operation.needs_body, "content": _json_of(operation.request)}
    parameters = [*map(_path, re.findall(r"{(\w+)}", operation.path)), *operation.parameters]
    if parameters:
        described["parameters"] = parameters
    if operation.path in OPEN_PATHS:
        described["security"] = []
    return described


def _refusal(path: str) -> dict[str, Any]:
    """What refusals look like on a path."""
    if is_open_inference(path):
        return _ERROR
    return ERROR if path.startswith(V1) else _PROBLEM


def _tag(operation: Operation) -> str:
    if operation.request and issubclass(operation.request, Question):
        return QUESTIONS
    return SESSIONS if operation.path.startswith(("/sessions", "/steps")) else SERVICE


def _json_of(form: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _SCHEMAS.format(model=form.__name__)}}}
