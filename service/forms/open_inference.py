"""Requests and answers of the Open Inference Protocol."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from service.forms.form import Form, TextOrNumber
from service.forms.steps import StepNumber

MAX_TENSORS = 16

SequenceId = TextOrNumber[Annotated[str, Field(max_length=255)], Annotated[int, Field(ge=0, lt=2**64)]] | None
Shape = Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(max_length=8)]
BinarySize = Annotated[int, Field(ge=0)]


class InferParameters(Form):
    """What a request asks besides its tensors. `priority` and `timeout` are taken, and change nothing."""

    sequence_id: SequenceId = Field(None, description="The sequence that this goes on with; 0 and empty mean none")
    sequence_start: bool = Field(False, description="Begin it anew")
    sequence_end: bool = Field(False, description="End it after this")
    step: StepNumber | None = Field(None, description="Only as this step of the sequence; may be repeated")
    allow_numerics_change: bool = Field(False, description="Go on where another runtime or machine computed the state")
    binary_data_output: bool = Field(False, description="Answer in binary what does not say otherwise itself")
    priority: int = 0
    timeout: int | None = None

    @model_validator(mode="after")
    def _of_a_sequence(self) -> Self:
        is_of_one = self.sequence_start or self.sequence_end or self.step is not None
        if is_of_one and not self.sequence_id:
            raise ValueError("a part of a sequence needs a sequence_id, which is not 0 and not empty")
        if self.sequence_start and self.step is not None:
            raise ValueError("a start has no step to name: its answer tells the next one")
        return self


class InputParameters(Form):
    """How many bytes of the body a tensor has."""

    binary_data_size: BinarySize | None = None


class InferInput(Form):
    """A tensor: its values in `data`, row by row, or behind the JSON."""

    name: str
    shape: Shape
    datatype: str
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = None


class OutputParameters(Form):
    """Whether an output is answered behind the JSON."""

    binary_data: bool | None = None


class RequestedOutput(Form):
    """An output to answer."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferRequest(Form):
    """Whole sequences, one a row, or a part of one that has an id."""

    id: str | None = None
    parameters: InferParameters = InferParameters()
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=MAX_TENSORS)]
    outputs: Annotated[list[RequestedOutput], Field(default_factory=list, max_length=MAX_TENSORS)]


class AnsweredOutput(Form):
    """A tensor that is answered."""

    name: str
    shape: Shape
    datatype: str
    parameters: InputParameters | None = None
    data: list[float | None] | None = None


class AnsweredParameters(Form):
    """The sequence as the session that it is; `step` is the number of its next step."""

    sequence_id: int | str
    session_id: str
    step: int
    numerics_changed: bool = Field(False, exclude_if=lambda value: not value)


class InferAnswer(Form):
    """What is answered."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: AnsweredParameters | None = None
    outputs: list[AnsweredOutput]


class ServerMetadata(Form):
    """The server, and which extensions of the protocol it speaks."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Form):
    """A tensor of a model; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Form):
    """A model: its versions, the one that is asked first, and its tensors."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(Form):
    """Whether a model can be asked."""

    name: str
    ready: bool
