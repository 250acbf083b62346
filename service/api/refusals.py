"""Which form a refusal takes: that of the protocol whose paths it is on."""

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
        name: Of the schema in the OpenAPI document.
        schema: JSON Schema of the body.
        media_type: Of the body.
        response: Makes a refusal a response.
    """

    name: str
    schema: Mapping[str, Any]
    media_type: str
    response: Callable[[ServiceError], Response]


_PROBLEM = RefusalForm("Problem", PROBLEM, PROBLEM_JSON, problem_response)
_OPEN_INFERENCE = RefusalForm("InferenceError", open_inference.ERROR, JSON, open_inference.error_response)
_OPENAI = RefusalForm("OpenAIError", openai.ERROR, JSON, openai.error_response)
REFUSAL_FORMS = (_PROBLEM, _OPEN_INFERENCE, _OPENAI)


def refusal_form(path: str) -> RefusalForm:
    """The form that refusals have on a path."""
    if path.startswith(openai.V1):
        return _OPENAI
    return _OPEN_INFERENCE if open_inference.is_open_inference(path) else _PROBLEM


def refusal_response(path: str, error: ServiceError) -> Response:
    """A refusal of a request to a path."""
    return refusal_form(path).response(error)


def plain_refusal(path: str, status: int) -> Response:
    """A refusal of a request to a path, which has a status only."""
    return open_inference.plain_error(status) if open_inference.is_open_inference(path) else plain_problem(status)
