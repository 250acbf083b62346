"""Refusals on OpenAI's paths, in the form that OpenAI's clients read."""

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from service.api.json_response import json_response
from service.api.refusals import detail_of, refusal_headers
from service.errors import InvalidInput, ModelUnknown, ServiceError, Unauthenticated

V1 = "/v1/"
ERROR: dict[str, Any] = {
    "description": "Why a request was refused, in OpenAI's form",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "description": "What is wrong, and where",
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What is wrong, for people"},
                "type": {"type": "string", "description": "invalid_request_error or server_error"},
                "param": {"type": ["string", "null"], "description": "Name of the field that is wrong, or null"},
                "code": {"type": ["string", "null"], "description": "Kind of refusal, such as model_not_found"},
            },
        }
    },
}
_BAD_REQUEST = 400
_CODES = {ModelUnknown.code: "model_not_found", Unauthenticated.code: "invalid_api_key"}


def error_response(error: ServiceError) -> Response:
    """Return a refusal as a response."""
    # OpenAI's clients expect status 400 for an invalid body, and raise BadRequestError.
    status = _BAD_REQUEST if error.status == InvalidInput.status else error.status
    return json_response(error_of(error), status, refusal_headers(error))


def plain_error(status: int) -> Response:
    """Return a refusal that only has a status."""
    return json_response(document(detail_of(status), _type(status), HTTPStatus(status).name.lower()), status)


def error_of(error: ServiceError) -> dict[str, Any]:
    """Return a refusal's document."""
    param = None
    if isinstance(error, InvalidInput):
        param = ".".join(map(str, error.errors[0][0])) or None
    elif isinstance(error, ModelUnknown):
        param = "model"
    return document(str(error), _type(error.status), _CODES.get(error.code, error.code.replace("-", "_")), param)


def document(message: str, kind: str, code: str, param: str | None = None) -> dict[str, Any]:
    """Return an error in the form that OpenAI's clients read."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _type(status: int) -> str:
    return "invalid_request_error" if status < ServiceError.status else "server_error"
