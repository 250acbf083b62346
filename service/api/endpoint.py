"""An endpoint: a method on a path, and what the OpenAPI document says of it."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

Schemas = Mapping[str, Mapping[str, Any]]  # of OpenAPI, by media type


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A method on a path, and its documentation.

    Attributes:
        method: In upper case.
        path: Its parameters in braces.
        name: What generated clients call it; the declaration and its handler are called the same.
        summary: A sentence for the OpenAPI document.
        request: The form of a body.
        answer: The form of an answer.
        status: Of an answer.
        parameters: Those that are not in the path, as OpenAPI has them; of its own only where there is more to say.
        needs_body: Whether a body is required.
        takes: Media types of a body besides the form.
        gives: Media types of an answer besides the form.
        refusals: Descriptions of refusals by status.
        tag: Its heading in the document. None if it is not in it.
        is_open: Whether it needs no key.
        is_left_to_bentoml: Whether it goes past the plain application, to BentoML, on the port of that.
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
    takes: Schemas = field(default_factory=dict)
    gives: Schemas = field(default_factory=dict)
    refusals: Mapping[int, str] = field(default_factory=dict)
    tag: str | None = None
    is_open: bool = False
    is_left_to_bentoml: bool = False

    @cached_property
    def label(self) -> str:
        """Its path as metrics have it."""
        return self.path.replace("{session_id}", "{id}")

    @cached_property
    def query_names(self) -> frozenset[str]:
        """Names of the parameters of its query."""
        return frozenset(parameter["name"] for parameter in self.parameters if parameter["in"] == "query")

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Its methods: HEAD goes with GET."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)
