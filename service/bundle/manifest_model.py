"""The base class of everything in a manifest."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ManifestModel(BaseModel):
    """Immutable, and strict about keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
