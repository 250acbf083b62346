"""The served models."""

from typing import Any

from pydantic import Field, field_serializer

from service.bundle.manifest import Figure, TrainingData
from service.bundle.stage import StateSpec
from service.forms.form import Form
from service.forms.open_inference import TensorMetadata


class TensorStep(Form):
    """A step in tensors, in JSON, in binary, and on /v2."""

    field: str = Field(
        description="Field of `inputs` in JSON that holds the items of one session, shaped as `input` without N"
    )
    input: TensorMetadata = Field(
        description="Tensor of a binary body and of /v2: N sessions or sequences, their items, the readings of an item"
    )
    outputs: list[TensorMetadata] = Field(description="Tensors that `return` may name; if empty, steps return none")
    num_tokens: int | None = Field(
        None,
        description="Number of token ids, which start at 0; left out if items are readings. A character's id is its "
        "index in `task.characters`; a note's is its pitch minus `task.lowest`, and the last id is the end of a frame; "
        "a word's is in the bundle's tokenizer.json",
    )


class ModelView(Form):
    """A model as its clients see it."""

    name: str = Field(description="Name of the bundle, for `model` of a question or a session")
    bundle: str = Field(description="Bundle as name:version, as in answers")
    version: str = Field(description="Version that new sessions and questions use")
    task: dict[str, Any] = Field(description="What the model does (`kind`), and its own limits")
    cell: str = Field(description="Recurrent cell of the model, such as lstm")
    sessions: bool = Field(description="Whether the model has sessions")
    inputs: dict[str, Any] = Field(
        description="JSON Schema of the `inputs` of a step; for a model without sessions, of a question"
    )
    outputs: dict[str, Any] | None = Field(
        None, description="JSON Schema of the `outputs` of such a step; left out if the model has no sessions"
    )
    tensors: TensorStep | None = Field(
        None, description="How to send a step as tensors; left out if the model takes none"
    )
    rungs: dict[str, list[int]] = Field(
        description="Lengths of each stage's unrolled graphs, in items, by name of the stage"
    )
    state: list[StateSpec] = Field(description="Tensors that a session keeps between steps")
    figures: list[Figure] = Field(description="Measured quality of the model")
    data: list[TrainingData] = Field(description="Data that the model was trained on")
    licence: str = Field(description="Licence of the weights")

    @field_serializer("data")
    def _without_defaults(self, data: list[TrainingData]) -> list[dict[str, Any]]:
        return [source.model_dump(exclude_defaults=True) for source in data]


class ModelList(Form):
    """Every served model."""

    models: list[ModelView] = Field(description="Served models")
