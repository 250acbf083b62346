"""One OpenAPI document for BentoML's endpoints and the plain routes together."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.sessions import MAX_PAGE
from service.forms import SessionPage, SessionRequest, SessionView, StepAnswer, StepRequest

DESCRIPTION = (
    "Recurrent networks with sessions: sentiment, generation, forecasting. `GET /models` tells what is served."
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
_EVENTS = {
    "schema": {"type": "string", "description": 'With `"stream": true`: events `text` with pieces, then `done`'},
}


class Operation(NamedTuple):
    """A plain route as OpenAPI tells it."""

    method: str
    path: str
    summary: str
    request: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    parameters: tuple[dict[str, Any], ...] = ()


_SESSION_ID = {"name": "session_id", "in": "path", "required": True, "schema": {"type": "string"}}
_PAGING = (
    {"name": "after", "in": "query", "schema": {"type": "string"}, "description": "`next` of the page before"},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100}},
)
OPERATIONS = (
    Operation("get", "/models", "List what is served"),
    Operation("post", "/sessions", "Open a session", SessionRequest, SessionView, 201),
    Operation("get", "/sessions", "List sessions, in pages", None, SessionPage, parameters=_PAGING),
    Operation("get", "/sessions/{session_id}", "Show a session", None, SessionView),
    Operation("delete", "/sessions/{session_id}", "End a session", status=204),
    Operation("post", "/sessions/{session_id}/steps", "Advance a session by one request", StepRequest, StepAnswer),
    Operation("get", "/metrics", "Metrics for Prometheus"),
)


def _version() -> str:
    try:
        return installed_version("unrolled")
    except PackageNotFoundError:  # in a Bento the sources are there, but not installed
        return "source"


def merged(document: dict[str, Any]) -> dict[str, Any]:
    """BentoML's document with the plain routes added, and problems where it has its own errors."""
    forms = [form for operation in OPERATIONS for form in (operation.request, operation.answer) if form]
    _, schemas = models_json_schema([(form, "validation") for form in set(forms)], ref_template=_SCHEMAS)
    paths = {path: _with_problems(item) for path, item in document["paths"].items() if path != "/metrics"}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    components = document.get("components", {})
    paths["/generate"]["post"]["responses"]["200"]["content"]["text/event-stream"] = _EVENTS
    return {
        "openapi": "3.1.0",
        "info": {"title": "Unrolled", "version": _version(), "description": DESCRIPTION},
        "tags": document.get("tags", []),
        "paths": paths,
        "components": {**components, "schemas": {**components.get("schemas", {}), **schemas["$defs"]}},
    }


def _described(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.answer:
        answer["content"] = _json_of(operation.answer)
    described: dict[str, Any] = {
        "summary": operation.summary,
        "tags": ["Unrolled"],
        "responses": {str(operation.status): answer, "default": _PROBLEM},
    }
    if operation.request:
        described["requestBody"] = {"required": True, "content": _json_of(operation.request)}
    if "{session_id}" in operation.path:
        described["parameters"] = [{"name": "session_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return described


def _json_of(form: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _SCHEMAS.format(model=form.__name__)}}}


def _with_problems(item: dict[str, Any]) -> dict[str, Any]:
    if "post" not in item:
        return item
    answers = {str(status): answer for status, answer in item["post"]["responses"].items() if int(status) < 400}
    return {**item, "post": {**item["post"], "responses": {**answers, "default": _PROBLEM}}}
