"""Sessions, and everything done with them except steps."""

from typing import Annotated

from pydantic import Field

from service.forms.form import Form, InWords
from service.forms.steps import NextStep, StepNumber

Ttl = Annotated[int, Field(ge=1, le=2**31 - 1)]
MAX_NAME_CHARACTERS = 64
# Not dots alone: browsers resolve DELETE .../checkpoints/.. to a DELETE of the session itself.
NAME_PATTERN = r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$"
CheckpointName = Annotated[
    str,
    Field(pattern=NAME_PATTERN, max_length=MAX_NAME_CHARACTERS),
    InWords(f"the name of a checkpoint is 1 to {MAX_NAME_CHARACTERS} of A-Z a-z 0-9 . _ -, and not dots alone"),
]


class SessionRequest(Form):
    """A new session."""

    model: str = Field(
        description="Name of a bundle that has sessions: GET /models tells which", examples=["sentiment"]
    )
    ttl_seconds: Ttl | None = Field(
        None, description="End the session when idle for so long; null: as set for the service"
    )
    keep_inputs: bool = Field(False, description="Keep all inputs, so that another bundle version may read them again")


class SessionView(Form):
    """A session as its owner sees it."""

    session_id: str = Field(description="Chosen by the service, and hard to guess")
    model: str = Field(description="Name of its bundle")
    bundle: str = Field(description="Name and version of its bundle, which it stays on")
    step: StepNumber = Field(description="Number of its next step")
    expires_at: str = Field(
        description="When it will have been idle for too long", json_schema_extra={"format": "date-time"}
    )
    ttl_seconds: int = Field(description="How long it may be idle")
    keep_inputs: bool = Field(description="Whether all its inputs are kept; not any more where they outgrew the limit")
    checkpoints: list[str] = Field(
        default_factory=list,
        exclude_if=lambda value: not value,
        description="Their names; left out where there are none",
    )


class SessionPage(Form):
    """A page of an owner's sessions."""

    sessions: list[SessionView] = Field(
        description="At most `limit`; fewer, or none, where some are over, though others may follow"
    )
    next: str | None = Field(
        None, description="`after` of the next page; left out on the last one, which alone tells the end"
    )


class CheckpointRequest(Form):
    """Which checkpoint of a session."""

    name: CheckpointName
    step: NextStep = None


class ForkRequest(Form):
    """A session that goes on from another's state, or from one of its checkpoints."""

    checkpoint: CheckpointName | None = Field(None, description="Go on from there; null: from the state now")
    step: StepNumber | None = Field(None, description="Only if this is the other's next step")
    ttl_seconds: Ttl | None = Field(None, description="As of a new session; null: as the other has it")


class RollbackRequest(Form):
    """Return to a checkpoint. That is a step of its own: the number never goes back."""

    checkpoint: CheckpointName = Field(description="Its name", examples=["start"])
    step: NextStep = None


class MigrateRequest(Form):
    """Move to another version of the session's bundle, by reading all inputs again."""

    bundle: str | None = Field(None, description="Tag of the version; the one that is served now if left out")
    step: NextStep = None
