"""Tokens to read."""

from typing import Annotated

from pydantic import Field

from service.forms.form import MAX_TEXT_CHARACTERS, Form


class IdsStep(Form):
    """Tokens by their ids."""

    ids: Annotated[list[int], Field(fail_fast=True, min_length=1, max_length=MAX_TEXT_CHARACTERS)] = Field(
        description="Ids of the next tokens to read, from 0"
    )
