"""Sessions, and everything done with them except steps."""

from typing import Annotated

from pydantic import Field

from service.forms.form import Form, WithMessage
from service.forms.steps import NextStep, StepNumber

Ttl = Annotated[int, Field(ge=1, le=2**31 - 1)]
MAX_NAME_CHARACTERS = 64
# Not dots alone: browsers resolve DELETE .../checkpoints/.. to a DELETE of the session itself.
NAME_PATTERN = r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$"
CheckpointName = Annotated[
    str,
    Field(pattern=NAME_PATTERN, max_length=MAX_NAME_CHARACTERS),
    WithMessage(f"the name of a checkpoint is 1 to {MAX_NAME_CHARACTERS} of A-Z a-z 0-9 . _ -, and not dots alone"),
]


class SessionRequest(Form):
    """A new session."""

    model: str = Field(description="Name of a bundle with sessions; see GET /models", examples=["sentiment"])
    ttl_seconds: Ttl | None = Field(
        None, description="Seconds without a step after which the session expires; null: the service's default"
    )
    keep_inputs: bool = Field(False, description="Keep all inputs, so that the session can migrate to another version")


class SessionView(Form):
    """A session as its owner sees it."""

    session_id: str = Field(description="Id of the session, chosen by the service and hard to guess")
    model: str = Field(description="Name of the session's bundle")
    bundle: str = Field(description="Bundle that the session stays on, as name:version")
    step: StepNumber = Field(description="Number of the session's next step")
    expires_at: str = Field(
        description="Time at which the session expires if it takes no more steps",
        json_schema_extra={"format": "date-time"},
    )
    ttl_seconds: int = Field(description="Seconds without a step after which the session expires")
    keep_inputs: bool = Field(description="Whether all inputs are kept; false once they exceed the limit")
    checkpoints: list[str] = Field(
        default_factory=list,
        exclude_if=lambda value: not value,
        description="Names of the session's checkpoints; left out if there are none",
    )


class SessionPage(Form):
    """A page of an owner's sessions."""

    sessions: list[SessionView] = Field(
        description="Sessions on this page: at most `limit`, and possibly none even if more pages follow"
    )
    next: str | None = Field(None, description="Value of `after` for the next page; left out on the last page")


class CheckpointRequest(Form):
    """Which checkpoint of a session."""

    name: CheckpointName
    step: NextStep = None


class ForkRequest(Form):
    """A session that goes on from another's state, or from one of its checkpoints."""

    checkpoint: CheckpointName | None = Field(
        None, description="Name of the checkpoint to start from; null: the current state"
    )
    step: StepNumber | None = Field(None, description="Fork only if this is the parent's next step; null: in any case")
    ttl_seconds: Ttl | None = Field(
        None, description="Seconds without a step after which the fork expires; null: as its parent"
    )


class RollbackRequest(Form):
    """Return to a checkpoint. That is a step of its own: the number never goes back."""

    checkpoint: CheckpointName = Field(description="Name of the checkpoint to return to", examples=["start"])
    step: NextStep = None


class MigrateRequest(Form):
    """Move to another version of the session's bundle, by reading all inputs again."""

    bundle: str | None = Field(
        None, description="Version to move to, as name:version; null: the one that new sessions get"
    )
    step: NextStep = None
