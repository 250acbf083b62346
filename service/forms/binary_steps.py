"""The JSON that precedes the tensor of steps in binary."""

from typing import Annotated, Literal

from pydantic import Field

from service.forms.form import Form
from service.forms.open_inference import BinarySize
from service.forms.steps import MAX_ITEMS, Returns, StepNumber


class BinaryTensorParameters(Form):
    """How many bytes of the body the tensor has."""

    binary_data_size: BinarySize


class BinaryTensor(Form):
    """The tensor that follows the JSON."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=3)]
    datatype: Literal["INT64", "FP64"]
    parameters: BinaryTensorParameters


class BinaryStepItem(Form):
    """Which session a row of the tensor is for."""

    session_id: str
    step: StepNumber | None = None


class BinaryStepItems(Form):
    """Steps of many sessions, whose inputs are the rows of one tensor."""

    items: Annotated[list[BinaryStepItem], Field(min_length=1, max_length=MAX_ITEMS)]
    returns: Returns | None = Field(None, alias="return")
    allow_numerics_change: bool = False
    inputs: Annotated[list[BinaryTensor], Field(min_length=1, max_length=1)]
