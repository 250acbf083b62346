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

    sequence_id: SequenceId = Field(
        None, description="Id of the sequence that this request is a part of; 0 or empty: none"
    )
    sequence_start: bool = Field(False, description="Start the sequence anew with this request")
    sequence_end: bool = Field(False, description="End the sequence after this request")
    step: StepNumber | None = Field(None, description="Number of this step of the sequence; makes a retry safe")
    allow_numerics_change: bool = Field(
        False, description="Continue even if another runtime or machine computed the state"
    )
    binary_data_output: bool = Field(
        False, description="Return outputs in binary unless their own `binary_data` is false"
    )
    priority: int = Field(0, description="Accepted, but has no effect")
    timeout: int | None = Field(None, description="Accepted, but has no effect")

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

    binary_data_size: BinarySize | None = Field(
        None, description="Size of the values, in bytes, that follow the JSON in place of `data`"
    )


class InferInput(Form):
    """A tensor: its values in `data`, row by row, or after the JSON."""

    name: str = Field(description="Name of the tensor: x")
    shape: Shape = Field(description="Shape: rows, items and, for readings, the numbers in a segment")
    datatype: str = Field(description="Data type: INT64 for token ids, FP64 for readings")
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = Field(
        None, description="Values, flat or nested as the shape says; null if they follow the JSON"
    )


class OutputParameters(Form):
    """Whether an output is answered after the JSON."""

    binary_data: bool | None = Field(
        None, description="Whether to return this output in binary; null: as `binary_data_output` says"
    )


class RequestedOutput(Form):
    """An output to answer."""

    name: str = Field(description="Name of the output: logits or argmax")
    parameters: OutputParameters = OutputParameters()


class InferRequest(Form):
    """Whole sequences, one a row, or a part of one that has an id."""

    id: str | None = Field(None, description="Id of the request, which the answer repeats")
    parameters: InferParameters = InferParameters()
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=MAX_TENSORS)] = Field(
        description="The model's one input tensor",
        examples=[[{"name": "x", "shape": [1, 2], "datatype": "INT64", "data": [3, 7]}]],
    )
    outputs: list[RequestedOutput] = Field(
        [], max_length=MAX_TENSORS, description="Outputs to return; if empty, all", examples=[[{"name": "argmax"}]]
    )


class AnsweredBinary(Form):
    """How many bytes of the answer's body an output has."""

    binary_data_size: BinarySize = Field(
        description="Size of the values, in bytes, that follow the JSON in place of `data`"
    )


class AnsweredOutput(Form):
    """A tensor that is answered."""

    name: str = Field(description="Name of the output: logits or argmax")
    shape: Shape = Field(description="Shape: rows, items and, for logits, one number for each token or label")
    datatype: str = Field(description="Data type: FP32 for logits, INT64 for argmax")
    parameters: AnsweredBinary | None = Field(
        None, description="Size of the values that follow the JSON; left out if they are in `data`"
    )
    data: list[float | None] | None = Field(
        None, description="Values, flat, row by row; left out if they follow the JSON"
    )


class AnsweredParameters(Form):
    """The session of a sequence."""

    sequence_id: int | str = Field(description="Id of the sequence, as in the request")
    session_id: str = Field(description="Id of the session that holds the sequence")
    step: StepNumber = Field(description="Number of the sequence's next step")
    numerics_changed: NumericsChanged = False


class InferAnswer(Form):
    """What is answered."""

    model_name: str = Field(description="Name of the bundle")
    model_version: str = Field(description="Version of the bundle")
    id: str | None = Field(None, description="Id of the request; left out if it had none")
    parameters: AnsweredParameters | None = Field(
        None, description="State of the sequence; left out if the request had no `sequence_id`"
    )
    outputs: list[AnsweredOutput] = Field(description="Outputs that were requested")


class ServerMetadata(Form):
    """The server, and which extensions of the protocol it speaks."""

    name: str = Field(description="Name of the server: unrolled")
    version: str = Field(description="Version of the service")
    extensions: list[str] = Field(description="Extensions of the protocol that the server supports")


class TensorMetadata(Form):
    """A tensor of a model."""

    name: str = Field(description="Name of the tensor in requests and answers")
    datatype: str = Field(description="Data type: INT64, FP64 or FP32")
    shape: list[int] = Field(description="Shape; -1 means any size")


class ModelMetadata(Form):
    """A model: its versions, the one that is asked first, and its tensors."""

    name: str = Field(description="Name of the bundle")
    versions: list[str] = Field(description="Loaded versions; the first one answers requests that name no version")
    platform: str = Field(description="Always onnxruntime_onnx")
    inputs: list[TensorMetadata] = Field(description="Tensors that the model reads")
    outputs: list[TensorMetadata] = Field(description="Tensors that the model returns")


class ModelReady(Form):
    """Whether a model is ready."""

    name: str = Field(description="Name of the bundle")
    ready: bool = Field(description="Always true: while a model is not ready, the request is refused with 503")
