"""The served models."""

from typing import Any

from pydantic import Field, field_serializer

from service.bundle.manifest import Figure, TrainingData
from service.bundle.stage import StateSpec
from service.forms.form import Form
from service.forms.open_inference import TensorMetadata


class TensorStep(Form):
    """A step in tensors, in JSON, in binary, and on /v2."""

    field: str = Field(description="Field of `inputs` in JSON: the items of one session, shaped as `input` without N")
    input: TensorMetadata = Field(
        description="The tensor of a binary body and of /v2: N sessions or sequences, their items, the readings of each"
    )
    outputs: list[TensorMetadata] = Field(description="What `return` may name; nothing is answered where it is empty")
    num_tokens: int | None = Field(None, description="Ids are 0 to one less; left out where items are readings")


class ModelView(Form):
    """A model as its clients see it."""

    name: str = Field(description="What `model` of a question or a session names")
    bundle: str = Field(description="Name and version, as answers tell them")
    version: str = Field(description="Version that new sessions and questions get")
    task: dict[str, Any] = Field(description="What it does (`kind`), and the limits of its own")
    cell: str = Field(description="Its recurrent cell")
    sessions: bool = Field(description="Whether there are sessions on it")
    inputs: dict[str, Any] = Field(description="JSON Schema of `inputs` of a step, or, without sessions, of a question")
    tensors: TensorStep | None = Field(None, description="How a step is written in tensors; left out where none is")
    rungs: dict[str, list[int]] = Field(description="Of each stage, the lengths of its unrolled graphs")
    state: list[StateSpec] = Field(description="What a session keeps")
    figures: list[Figure] = Field(description="How good it is")
    data: list[TrainingData] = Field(description="What it was trained on")
    licence: str = Field(description="Of the weights")

    @field_serializer("data")
    def _without_defaults(self, data: list[TrainingData]) -> list[dict[str, Any]]:
        return [source.model_dump(exclude_defaults=True) for source in data]


class ModelList(Form):
    """Every served model."""

    models: list[ModelView] = Field(description="By name")
