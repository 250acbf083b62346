"""Bundle versions: which are loaded, and which to load."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from service.forms.form import Form


class IndexRequest(Form):
    """Which versions to list."""

    ready: bool = Field(False, description="Changes nothing: all that are listed are ready")


class LoadParameters(Form):
    """Which version to load."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = Field(
        "latest", description="In the BentoML model store"
    )


class LoadRequest(Form):
    """Make a bundle version current."""

    parameters: LoadParameters = LoadParameters()


class VersionEntry(Form):
    """A loaded bundle version."""

    name: str = Field(description="Of the bundle")
    version: str = Field(description="Of the bundle")
    state: Literal["READY"] = Field("READY", description="Always the same: others are not listed")
    reason: str = Field("", description="Why it is loaded, where it is not the current version")


class VersionIndex(RootModel[list[VersionEntry]]):
    """All that are loaded."""
