"""Bundle versions: which are loaded, and which to load."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from service.forms.form import Form


class LoadParameters(Form):
    """Which version to load."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "latest"


class LoadRequest(Form):
    """Make a bundle version current."""

    parameters: LoadParameters = LoadParameters()


class VersionEntry(Form):
    """A bundle version that is loaded; `reason` says why where it is not the current one."""

    name: str
    version: str
    state: Literal["READY"] = "READY"
    reason: str = ""


class VersionIndex(RootModel[list[VersionEntry]]):
    """All that are loaded."""
