"""One OpenAPI document for BentoML's endpoints and the plain routes together."""

from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.forms import SessionPage, SessionRequest, SessionView, StepAnswer, StepRequest

_SCHEMAS = "#/components/schemas/{model}"
_PROBLEM = {
    "description": "Problem",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    },
}


class Operation(NamedTuple):
    """A plain route as OpenAPI tells it."""

    method: str
    path: str
    summary: str
    request: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200


OPERATIONS = (
    Operation("get", "/models", "List what is served"),
    Operation("post", "/sessions", "Open a session", SessionRequest, SessionView, 201),
    Operation("get", "/sessions", "List sessions, in pages", None, SessionPage),
    Operation("get", "/sessions/{session_id}", "Show a session", None, SessionView),
    Operation("delete", "/sessions/{session_id}", "End a session", status=204),
    Operation("post", "/sessions/{session_id}/steps", "Advance a session by one request", StepRequest, StepAnswer),
    Operation("get", "/metrics", "Metrics for Prometheus"),
)


def merged(document: dict[str, Any]) -> dict[str, Any]:
    """BentoML's document with the plain routes added, and problems where it has its own errors."""
    forms = [form for operation in OPERATIONS for form in (operation.request, operation.answer) if form]
    _, schemas = models_json_schema([(form, "validation") for form in set(forms)], ref_template=_SCHEMAS)
    paths = {path: _with_problems(item) for path, item in document["paths"].items() if path != "/metrics"}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    components = document.get("components", {})
    return {
        **document,
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
    answers = {status: answer for status, answer in item["post"]["responses"].items() if int(status) < 400}
    return {**item, "post": {**item["post"], "responses": {**answers, "default": _PROBLEM}}}
