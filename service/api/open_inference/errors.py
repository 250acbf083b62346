"""Refusals in the Open Inference Protocol's form, `{"error": "..."}`, on that protocol's paths."""

from typing import Any

from starlette.responses import Response

from service.api.json_response import json_response
from service.api.refusals import detail_of, refusal_headers
from service.errors import ServiceError

ROOT = "/v2"
ERROR: dict[str, Any] = {
    "description": "Why a request was refused, in the Open Inference Protocol's form",
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, for people"}},
}


def is_open_inference(path: str) -> bool:
    """Whether refusals on a path have the protocol's form."""
    return path.startswith(ROOT) and path[len(ROOT) :][:1] in ("", "/")


def error_response(error: ServiceError) -> Response:
    """Return a refusal as a response."""
    return json_response({"error": str(error)}, error.status, refusal_headers(error))


def plain_error(status: int) -> Response:
    """Return a refusal that only has a status."""
    return json_response({"error": detail_of(status)}, status)
