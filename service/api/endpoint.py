"""An endpoint: a method on a path, and what the OpenAPI document says about it."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

Schemas = Mapping[str, Mapping[str, Any]]  # OpenAPI schemas by media type


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A method on a path, and its documentation.

    Attributes:
        method: In upper case.
        path: With its parameters in braces.
        name: The operation's id, which generated clients use. The declaration and the handler have the same name.
        summary: A sentence for the OpenAPI document.
        request: The form of the request's body.
        answer: The form of the answer's body.
        status: Status of an answer that is not a refusal.
        parameters: OpenAPI parameters: those of the query and headers, and those of the path that need their own
            schema.
        needs_body: Whether a body is required.
        request_types: Media types of a body besides the form.
        response_types: Media types of an answer besides the form.
        refusals: Descriptions of refusals by status.
        tag: Its heading in the document. None if it is left out.
        is_public: Whether it needs no key.
        checks_query: Whether query parameters that it does not declare are refused.
        is_left_to_bentoml: Whether BentoML, not the plain application, answers it on BentoML's port.
    """

    method: str
    path: str
    name: str = ""
    summary: str = ""
    _: KW_ONLY
    request: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    parameters: tuple[Mapping[str, Any], ...] = ()
    needs_body: bool = True
    request_types: Schemas = field(default_factory=dict)
    response_types: Schemas = field(default_factory=dict)
    refusals: Mapping[int, str] = field(default_factory=dict)
    tag: str | None = None
    is_public: bool = False
    checks_query: bool = False
    is_left_to_bentoml: bool = False

    @cached_property
    def label(self) -> str:
        """Its path as a label of metrics."""
        return self.path.replace("{session_id}", "{id}")

    @cached_property
    def query_names(self) -> frozenset[str]:
        """Names of its query parameters."""
        return frozenset(parameter["name"] for parameter in self.parameters if parameter["in"] == "query")

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Its methods. GET includes HEAD."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)
