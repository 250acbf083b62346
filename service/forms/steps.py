"""Steps of sessions, one or many."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from service.forms.form import INT64, Form, TextOrNumber

MAX_ITEMS = 1024


Returns = Literal["logits", "argmax", "none"]  # of a step in tensors
Returned = TypeAliasType(  # named, so that it has a schema of its own
    "Returned", Annotated[Returns, Field(description="What is answered of each item")]
)
ClientId = TextOrNumber[str, Annotated[int, Field(ge=-(2**63), lt=2**63)]] | None
StepNumber = Annotated[int, Field(ge=0, lt=2**63, json_schema_extra=INT64)]
NextStep = Annotated[
    StepNumber | None,
    Field(
        description="Apply only if this is the next step; safe to retry. null: whatever step is next; not safe to retry"
    ),
]
NumericsChanged = Annotated[
    bool,
    Field(
        exclude_if=lambda value: not value,
        description="Another runtime or machine than before has computed this; left out where that is not so",
    ),
]


class StepRequest(Form):
    """One step. A client that names `step` may repeat it until it is answered: the step is taken once.

    `inputs` is what the session's model reads, or tensors: {"ids": [3, 7]} for tokens, {"x": [[...]]} for segments of
    readings, whose step answers what `return` says.
    """

    step: NextStep = None
    inputs: dict[str, Any] = Field(
        description="What the model reads, as `inputs` of GET /models has it, or tensors, as its `tensors` has them",
        examples=[{"text": "Simply wond"}, {"ids": [3, 7]}],
    )
    returns: Returned | None = Field(
        None,
        alias="return",
        description="Only of a step in tensors: what to answer of each item; null: logits, where the model has some",
    )
    allow_numerics_change: bool = Field(False, description="Go on where another runtime or machine computed the state")
    stream: bool = Field(False, description="Answer a generated text with server-sent events as it grows")


class StepAnswer(Form):
    """The outputs of a step, and the number of the next one."""

    session_id: str = Field(description="Whose step it was")
    step: StepNumber = Field(description="Number of the next step: one more than the number of this")
    outputs: dict[str, Any] = Field(description="What the model answers, or what was done to a checkpoint")
    numerics_changed: NumericsChanged = False


class StepItem(StepRequest):
    """One of many steps."""

    session_id: str = Field(description="Whose step it is")
    stream: Literal[False] = Field(False, description="Only false: steps are streamed one by one")


class StepItems(Form):
    """Steps of many sessions. Each has an answer of its own."""

    items: Annotated[list[StepItem], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="Steps, of any sessions", examples=[[{"session_id": "...", "step": 0, "inputs": {"ids": [3, 7]}}]]
    )


class StreamItem(StepItem):
    """A message on a stream. Its answer has the same `id`."""

    id: ClientId = None


class ItemAnswer(Form):
    """The answer to one of many steps: outputs, or the problem that it was refused with."""

    session_id: str = Field(description="As it was sent; empty where it was not")
    status: int = Field(description="200, or that of the problem")
    step: StepNumber | None = Field(None, description="Number of the next step; left out beside a problem")
    outputs: dict[str, Any] | None = Field(None, description="What the model answers; left out beside a problem")
    numerics_changed: NumericsChanged = False
    problem: dict[str, Any] | None = Field(None, description="Why the step was refused; left out where it was not")


class ItemAnswers(Form):
    """One answer for each item, in order."""

    items: list[ItemAnswer] = Field(description="As many as were sent")
