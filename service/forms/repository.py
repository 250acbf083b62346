"""Bundle versions: which are loaded, and which to load."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from service.forms.form import Form


class IndexRequest(Form):
    """Which versions to list."""

    ready: bool = Field(False, description="Has no effect: all listed versions are ready")


class LoadParameters(Form):
    """Which version to load."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = Field(
        "latest", description="Version in the BentoML model store; latest: the newest one"
    )


class LoadRequest(Form):
    """Make a bundle version current."""

    parameters: LoadParameters = LoadParameters()


class VersionEntry(Form):
    """A loaded bundle version."""

    name: str = Field(description="Name of the bundle")
    version: str = Field(description="Version of the bundle")
    state: Literal["READY"] = Field("READY", description="Always READY: only loaded versions are listed")
    reason: str = Field("", description="Why the version is loaded; empty for the current one")


class VersionIndex(RootModel[list[VersionEntry]]):
    """All that are loaded."""
