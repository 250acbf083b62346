"""Steps of sessions, one or many."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from service.forms.form import INT64, Form, TextOrNumber, WithMessage

MAX_ITEMS = 1024
MAX_STEP_ITEMS = 65_536  # of a step in tensors, however it is sent

Returns = Literal["logits", "argmax", "none"]  # of a step in tensors
Returned = TypeAliasType(  # named, so that it has a schema of its own
    "Returned", Annotated[Returns, Field(description="What to return for each item")]
)
ClientId = TextOrNumber[str, Annotated[int, Field(ge=-(2**63), lt=2**63)]] | None
StepNumber = Annotated[int, Field(ge=0, lt=2**63, json_schema_extra=INT64)]
NextStep = Annotated[
    StepNumber | None,
    Field(
        description="Number of this step, which must be the next one; safe to retry. null: whichever step is next; not "
        "safe to retry"
    ),
]
NumericsChanged = Annotated[
    bool,
    Field(
        exclude_if=lambda value: not value,
        description="True if another runtime or machine computed the state before this step; left out otherwise",
    ),
]


TENSOR_FIELDS = frozenset({"ids", "x"})  # a step is in tensors if its inputs have one of these fields


class IdsStep(Form):
    """Tokens by their ids."""

    ids: Annotated[list[int], Field(fail_fast=True, min_length=1, max_length=MAX_STEP_ITEMS)] = Field(
        description="Ids of the next tokens to read, from 0"
    )


class StepRequest(Form):
    """One step. A client that names `step` may repeat it until it is answered: the step is taken once.

    Only the answer to a session's last step is kept, so send the next one once this one is answered.

    `inputs` is what the session's model reads, or tensors: {"ids": [3, 7]} for tokens, {"x": [[...]]} for segments of
    readings, whose step answers what `return` says.
    """

    step: NextStep = None
    inputs: dict[str, Any] = Field(
        description="Inputs of the model, as `inputs` in GET /models describes them, or tensors, as `tensors` does",
        examples=[{"text": "Simply wond"}, {"ids": [3, 7]}],
    )
    returns: Returned | None = Field(
        None,
        alias="return",
        description="For a step in tensors, what to return for each item; null: logits, if the model has any",
    )
    allow_numerics_change: bool = Field(
        False, description="Continue even if another runtime or machine computed the state"
    )
    stream: bool = Field(False, description="Stream what the model generates as server-sent events")


class TensorOutputs(Form):
    """What a step in tensors returns: what its `return` names, or nothing."""

    logits: list[list[float]] | None = Field(None, description="Logits for each item; left out if not asked for")
    argmax: list[int] | None = Field(None, description="Most probable token after each item; left out likewise")


class Transition(Form):
    """What was done to a session, in one of these fields."""

    save: str | None = Field(None, description="Name of the checkpoint that was saved")
    forget: str | None = Field(None, description="Name of the checkpoint that was deleted")
    rollback: str | None = Field(None, description="Name of the checkpoint that the session returned to")
    migrate: str | None = Field(None, description="Bundle that the session moved to, as name:version")


class Taken(Form):
    """A step that was taken, and the number of the next one."""

    session_id: str = Field(description="Id of the session")
    step: StepNumber = Field(description="Number of the session's next step, one more than this step's")
    numerics_changed: NumericsChanged = False


class StepAnswer(Taken):
    """The outputs of a step, and the number of the next one."""

    outputs: dict[str, Any] = Field(description="What the model returned")


class TransitionAnswer(Taken):
    """A step that read no input but changed the session, and the number of the next one."""

    outputs: Transition


class StepItem(StepRequest):
    """One of many steps."""

    session_id: str = Field(description="Id of the session that takes the step")
    stream: Annotated[
        Literal[False], WithMessage("only POST /sessions/{id}/steps can stream an answer: leave `stream` out")
    ] = Field(False, description="Must be false: only a single step can be streamed")


class StepItems(Form):
    """Steps of many sessions. Each has an answer of its own."""

    items: Annotated[list[StepItem], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="Steps to take, of any sessions",
        examples=[[{"session_id": "...", "step": 0, "inputs": {"ids": [3, 7]}}]],
    )


class StreamItem(StepItem):
    """A message on a stream. Its answer has the same `id`."""

    id: ClientId = None


class ItemAnswer(Form):
    """The answer to one of many steps: outputs, or the problem that it was refused with."""

    session_id: str = Field(description="Id of the session, as in the request; empty if it was missing")
    status: int = Field(description="HTTP status of this item: 200, or that of `problem`")
    step: StepNumber | None = Field(
        None, description="Number of the session's next step; left out if there is a problem"
    )
    outputs: dict[str, Any] | None = Field(None, description="What the model returned; left out if there is a problem")
    numerics_changed: NumericsChanged = False
    problem: dict[str, Any] | None = Field(None, description="Why the step was refused; left out if it was not")


class ItemAnswers(Form):
    """One answer for each item, in order."""

    items: list[ItemAnswer] = Field(description="One answer for each item of the request, in order")
