"""Requests and answers of the Open Inference Protocol."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from service.forms.form import Form, TextOrNumber
from service.forms.steps import NumericsChanged, StepNumber

MAX_TENSORS = 16

SequenceNumber = Annotated[int, Field(ge=0, lt=2**64, json_schema_extra={"format": "uint64"})]
SequenceId = TextOrNumber[Annotated[str, Field(max_length=255)], SequenceNumber] | None
Shape = Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(max_length=8)]
BinarySize = Annotated[int, Field(ge=0)]


class InferParameters(Form):
    """What a request asks besides its tensors. `priority` and `timeout` are accepted, and change nothing."""

    sequence_id: SequenceId = Field(None, description="The sequence that this goes on with; 0 and empty mean none")
    sequence_start: bool = Field(False, description="Begin it anew")
    sequence_end: bool = Field(False, description="End it after this")
    step: StepNumber | None = Field(None, description="Only as this step of the sequence; may be repeated")
    allow_numerics_change: bool = Field(False, description="Go on where another runtime or machine computed the state")
    binary_data_output: bool = Field(False, description="Answer in binary what does not say otherwise itself")
    priority: int = Field(0, description="Changes nothing")
    timeout: int | None = Field(None, description="Changes nothing")

    @model_validator(mode="after")
    def _of_a_sequence(self) -> Self:
        is_of_one = self.sequence_start or self.sequence_end or self.step is not None
        if is_of_one and not self.sequence_id:
            raise ValueError("a part of a sequence needs a sequence_id that is neither 0 nor empty")
        if self.sequence_start and self.step is not None:
            raise ValueError("a start names no step: its answer says which is next")
        return self


class InputParameters(Form):
    """How many bytes of the body a tensor has."""

    binary_data_size: BinarySize | None = Field(None, description="Bytes behind the JSON, in place of `data`")


class InferInput(Form):
    """A tensor: its values in `data`, row by row, or after the JSON."""

    name: str = Field(description="x")
    shape: Shape = Field(description="Rows, items, and, of readings, the numbers of a segment")
    datatype: str = Field(description="INT64 for token ids, FP64 for readings")
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = Field(None, description="Values, nested as the shape says or flat")


class OutputParameters(Form):
    """Whether an output is answered after the JSON."""

    binary_data: bool | None = Field(None, description="null: as `binary_data_output` of the request says")


class RequestedOutput(Form):
    """An output to answer."""

    name: str = Field(description="logits or argmax")
    parameters: OutputParameters = OutputParameters()


class InferRequest(Form):
    """Whole sequences, one a row, or a part of one that has an id."""

    id: str | None = Field(None, description="Comes again in the answer")
    parameters: InferParameters = InferParameters()
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=MAX_TENSORS)] = Field(
        description="The one tensor that a model has",
        examples=[[{"name": "x", "shape": [1, 2], "datatype": "INT64", "data": [3, 7]}]],
    )
    outputs: list[RequestedOutput] = Field(
        [], max_length=MAX_TENSORS, description="What to answer; all where it is empty", examples=[[{"name": "argmax"}]]
    )


class AnsweredBinary(Form):
    """How many bytes of the answer's body an output has."""

    binary_data_size: BinarySize = Field(description="Bytes behind the JSON, in place of `data`")


class AnsweredOutput(Form):
    """A tensor that is answered."""

    name: str = Field(description="logits or argmax")
    shape: Shape = Field(description="Rows, items, and, of logits, one for each token or label")
    datatype: str = Field(description="FP32 for logits, INT64 for argmax")
    parameters: AnsweredBinary | None = Field(None, description="Where it is answered behind the JSON")
    data: list[float | None] | None = Field(None, description="Values, flat, row by row")


class AnsweredParameters(Form):
    """The session of a sequence."""

    sequence_id: int | str = Field(description="As it was sent")
    session_id: str = Field(description="The session that it is")
    step: StepNumber = Field(description="Number of its next step")
    numerics_changed: NumericsChanged = False


class InferAnswer(Form):
    """What is answered."""

    model_name: str = Field(description="Name of the bundle")
    model_version: str = Field(description="Version of the bundle")
    id: str | None = Field(None, description="That of the request")
    parameters: AnsweredParameters | None = Field(None, description="Of a sequence that has an id")
    outputs: list[AnsweredOutput] = Field(description="Those that were asked for")


class ServerMetadata(Form):
    """The server, and which extensions of the protocol it speaks."""

    name: str = Field(description="unrolled")
    version: str = Field(description="Of the service")
    extensions: list[str] = Field(description="As the protocol and Triton call them")


class TensorMetadata(Form):
    """A tensor of a model."""

    name: str = Field(description="What requests call it")
    datatype: str = Field(description="INT64, FP64 or FP32")
    shape: list[int] = Field(description="-1 is any size")


class ModelMetadata(Form):
    """A model: its versions, the one that is asked first, and its tensors."""

    name: str = Field(description="Name of the bundle")
    versions: list[str] = Field(description="Those that are loaded, the one that is asked first")
    platform: str = Field(description="onnxruntime_onnx")
    inputs: list[TensorMetadata] = Field(description="What it reads")
    outputs: list[TensorMetadata] = Field(description="What it answers")


class ModelReady(Form):
    """Whether a model is ready."""

    name: str = Field(description="Name of the bundle")
    ready: bool = Field(description="Always true: what is not ready is refused with 503")
