"""A question to the service: its request, and the status, media type and form of a correct reply."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import ValidationError

from loadtest.answers import Answer, Problem, form_failure

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
EVENT_STREAM = "text/event-stream"
NO_CONTENT = 204

A = TypeVar("A", bound=Answer)


class WrongReply(Exception):
    """A reply has the wrong status, media type or form. The message is the kind of failure."""


@dataclass(frozen=True)
class Reply:
    """A reply over HTTP. The status is 0 if there was none."""

    status: int
    content_type: str
    content: bytes

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Question(Generic[A]):
    """One request, and what a correct reply looks like.

    Attributes:
        form: Form of a correct answer.
        method: HTTP method.
        path: Path of the request.
        name: Row of locust's tables that it is counted in.
        body: Body, mostly JSON.
        status: Status of a correct reply.
        stream: Whether the answer comes as server-sent events. `name` then counts the time until the first of them.
        whole_name: Row that counts the time until the end of a stream.
        content_type: Content type of the body.
        case: What is special about it. Its failures are counted under this.
        headers: Further header fields of the request.
    """

    form: type[A]
    method: str
    path: str
    name: str
    body: bytes | None = None
    status: int = 200
    stream: bool = False
    whole_name: str = ""
    content_type: str = JSON
    case: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """Media type of a correct reply. Empty if it has no body."""
        if self.status == NO_CONTENT:
            return ""
        if self.status >= 400:
            return PROBLEM_JSON
        return EVENT_STREAM if self.stream else JSON

    def read(self, reply: Reply) -> A:
        """Read the answer in a reply.

        Raises:
            WrongReply: It has the wrong status, type or form.
        """
        if reply.status != self.status:
            raise WrongReply(f"status: expected {self.status}, got {reply.status}{_code(reply)}")
        if reply.media_type != self.media_type:
            raise WrongReply(f"content type: expected {self.media_type or 'none'}, got {reply.media_type or 'none'}")
        return self.parse(reply.content)

    def parse(self, content: bytes) -> A:
        """Parse the body of a reply.

        Raises:
            WrongReply: It does not have the promised form.
        """
        return read_form(self.form, content or b"{}")


def post(form: type[A], path: str, inputs: object, note: str = "") -> Question[A]:
    """Make a question with a JSON body. The note distinguishes requests to the same path in locust's tables."""
    return Question(form, "POST", path, f"{path} ({note})" if note else path, json_body(inputs))


def json_body(inputs: object) -> bytes:
    """Encode inputs as the body of a request."""
    return json.dumps(inputs).encode()


def read_form(form: type[A], content: str | bytes) -> A:
    """Parse JSON as a form.

    Raises:
        WrongReply: It does not have that form, or is not JSON.
    """
    try:
        return form.model_validate_json(content)
    except ValidationError as error:
        raise WrongReply(form_failure(error)) from error


def _code(reply: Reply) -> str:
    """Return the code of a refusal, after a blank. Empty if the reply has none."""
    try:
        problem = Problem.model_validate_json(reply.content)
    except ValidationError:
        return ""
    return "" if problem.type == "about:blank" else f" {problem.code}"
