"""Bundle versions to load."""

from typing import Annotated

from pydantic import Field

from service.forms.form import Form


class LoadParameters(Form):
    """Which version to load."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "latest"


class LoadRequest(Form):
    """Make a bundle version current."""

    parameters: LoadParameters = LoadParameters()
