"""Steps of sessions, one or many."""

from typing import Annotated, Any, Literal

from pydantic import Field

from service.forms.form import MAX_TEXT_CHARACTERS, Form, TextOrNumber

MAX_ITEMS = 1024


class IdsStep(Form):
    """Tokens by their ids."""

    ids: Annotated[list[int], Field(fail_fast=True, min_length=1, max_length=MAX_TEXT_CHARACTERS)]


ClientId = TextOrNumber[str, Annotated[int, Field(ge=-(2**63), lt=2**63)]] | None
StepNumber = Annotated[int, Field(ge=0, lt=2**63)]


class StepRequest(Form):
    """One step. A client that names `step` may retry for ever.

    `inputs` is what the session's model reads, or tensors: {"ids": [3, 7]} for tokens, {"x": [[...]]} for segments of
    readings, whose step answers what `return` says.
    """

    step: StepNumber | None = None
    inputs: dict[str, Any]
    returns: Literal["logits", "argmax", "none"] | None = Field(None, alias="return")
    allow_numerics_change: bool = Field(False, description="Go on where another runtime or machine computed the state")
    stream: bool = Field(False, description="Answer a generated text with server-sent events as it grows")


class StepAnswer(Form):
    """The outputs of a step; `step` is the number of the next one."""

    session_id: str
    step: int
    outputs: dict[str, Any]
    numerics_changed: bool = Field(False, exclude_if=lambda value: not value)


class StepItem(StepRequest):
    """One of many steps."""

    session_id: str
    stream: Literal[False] = False


class StepItems(Form):
    """Steps of many sessions; each is answered for itself."""

    items: Annotated[list[StepItem], Field(min_length=1, max_length=MAX_ITEMS)]


class StreamItem(StepItem):
    """A message on a stream; its answer has the same `id`."""

    id: ClientId = None


class ItemAnswer(Form):
    """What one of many steps is answered: outputs, or the problem that it was refused with."""

    session_id: str
    status: int
    step: int | None = None
    outputs: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class ItemAnswers(Form):
    """One answer for each item, in order."""

    items: list[ItemAnswer]
