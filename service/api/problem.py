"""Refusals as `application/problem+json` (RFC 9457), on all paths but OpenAI's and the Open Inference Protocol's."""

import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar

from starlette.responses import Response

from service.api.json_response import json_response
from service.api.refusals import answer_or_refusal, detail_of, refusal_headers
from service.errors import ServiceError

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:unrolled:problem:"
PROBLEM: dict[str, Any] = {
    "description": "Why a request was refused (RFC 9457)",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": f"{TYPE_PREFIX}..., the kind of refusal, or about:blank"},
        "title": {"type": "string", "description": "Short name of the refusal, for people"},
        "status": {"type": "integer", "description": "HTTP status of the response"},
        "detail": {"type": "string", "description": "What is wrong with this request, for people"},
        "retry_after": {
            "type": "integer",
            "description": "With 429 `too-busy` and 503: seconds to wait before a retry, as in `Retry-After`",
        },
        "errors": {
            "type": "array",
            "description": "With 422 `invalid-input`: each mistake, and where it is",
            "items": {
                "type": "object",
                "required": ["location", "message"],
                "properties": {
                    "location": {
                        "type": "array",
                        "description": "Field names and list indices that lead to the mistake; empty: the whole input",
                        "items": {"type": ["string", "integer"]},
                    },
                    "message": {"type": "string", "description": "What is wrong there, for people"},
                },
            },
        },
        "expected_step": {
            "type": "integer",
            "format": "int64",
            "description": "With 409 `step-conflict`, and 412 `version-unknown` of a session: number of its next step",
        },
        "reason": {
            "type": "string",
            "enum": ["ended", "expired", "evicted"],
            "description": "With 410 `session-gone`: how the session ended",
        },
        "session_numerics": {
            "type": "string",
            "description": "With 412 `numerics-changed`: fingerprint of what computed the session's state",
        },
        "served_numerics": {
            "type": "string",
            "description": "With 412 `numerics-changed`: fingerprint of what would compute the next step",
        },
    },
}

P = ParamSpec("P")
R = TypeVar("R")


def problem_of(error: ServiceError) -> dict[str, Any]:
    """Return the members of a refusal's problem document."""
    retry = {} if error.retry_after_seconds is None else {"retry_after": error.retry_after_seconds}
    return {
        "type": f"{TYPE_PREFIX}{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": str(error),
        **retry,
        **error.members(),
    }


def problem_response(error: ServiceError) -> Response:
    """Return a refusal as a response."""
    return json_response(problem_of(error), error.status, refusal_headers(error), PROBLEM_JSON)


def answers_problems(handler: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R | Response]]:
    """Make a handler answer refusals as problems."""

    @functools.wraps(handler)
    async def answer(*args: P.args, **kwargs: P.kwargs) -> R | Response:
        return await answer_or_refusal(handler(*args, **kwargs), handler.__name__, problem_response)

    return answer


def plain_problem(status: int, detail: str | None = None) -> Response:
    """Return a problem that only has a status, and perhaps a detail of its own."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail or detail_of(status)}
    return json_response(document, status, media_type=PROBLEM_JSON)
