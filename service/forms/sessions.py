"""Sessions, and all that is done with them but steps."""

from typing import Annotated

from pydantic import Field

from service.forms.form import Form, InWords
from service.forms.steps import StepNumber

Ttl = Annotated[int, Field(ge=1, le=2**31 - 1)]
CheckpointName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._-]{1,64}$"),
    InWords("the name of a checkpoint is 1 to 64 of A-Z a-z 0-9 . _ -"),
]


class SessionRequest(Form):
    """A new session."""

    model: str
    ttl_seconds: Ttl | None = Field(None, description="End the session when idle for so long")
    keep_inputs: bool = Field(False, description="Keep all inputs, so that another bundle version may read them again")


class SessionView(Form):
    """A session as its owner sees it."""

    session_id: str
    model: str
    bundle: str
    step: int
    expires_at: str
    checkpoints: list[str] = Field(default_factory=list, exclude_if=lambda value: not value)


class SessionPage(Form):
    """Some sessions of an owner; `next` continues the list."""

    sessions: list[SessionView]
    next: str | None = None


class CheckpointRequest(Form):
    """Which checkpoint of a session."""

    name: CheckpointName
    step: StepNumber | None = None


class ForkRequest(Form):
    """A session that goes on from another's state, or from one of its checkpoints."""

    checkpoint: CheckpointName | None = None
    step: StepNumber | None = Field(None, description="Only if this is the other's next step")
    ttl_seconds: Ttl | None = None


class RollbackRequest(Form):
    """Return to a checkpoint. That is a step of its own: the number never goes back."""

    checkpoint: CheckpointName
    step: StepNumber | None = None


class MigrateRequest(Form):
    """Move to another version of the session's bundle, by reading all inputs again."""

    bundle: str | None = Field(None, description="Tag of the version; the one that is served now if left out")
    step: StepNumber | None = None
