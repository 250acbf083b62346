"""The form of a refusal, which depends on the protocol that its path belongs to."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from service.api.media_types import JSON
from service.api.open_inference import errors as open_inference
from service.api.openai import errors as openai
from service.api.problem import PROBLEM, PROBLEM_JSON, plain_problem, problem_response
from service.errors import ServiceError


class RefusalForm(NamedTuple):
    """The refusals of a protocol.

    Attributes:
        name: Name of the schema in the OpenAPI document.
        schema: JSON Schema of the body.
        media_type: Media type of the body.
        response: Turns a refusal into a response.
        plain: Returns a refusal that only has a status.
    """

    name: str
    schema: Mapping[str, Any]
    media_type: str
    response: Callable[[ServiceError], Response]
    plain: Callable[[int], Response]


_PROBLEM = RefusalForm("Problem", PROBLEM, PROBLEM_JSON, problem_response, plain_problem)
_OPEN_INFERENCE = RefusalForm(
    "InferenceError", open_inference.ERROR, JSON, open_inference.error_response, open_inference.plain_error
)
_OPENAI = RefusalForm("OpenAIError", openai.ERROR, JSON, openai.error_response, openai.plain_error)
REFUSAL_FORMS = (_PROBLEM, _OPEN_INFERENCE, _OPENAI)


def refusal_form(path: str) -> RefusalForm:
    """Return the form of refusals on a path."""
    if path.startswith(openai.V1):
        return _OPENAI
    return _OPEN_INFERENCE if open_inference.is_open_inference(path) else _PROBLEM


def refusal_response(path: str, error: ServiceError) -> Response:
    """Return a refusal as a response, in the form of a path."""
    return refusal_form(path).response(error)


def plain_refusal(path: str, status: int) -> Response:
    """Return a refusal that only has a status, in the form of a path."""
    return refusal_form(path).plain(status)
