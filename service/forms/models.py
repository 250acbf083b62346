"""What is served."""

from typing import Any

from pydantic import Field, field_serializer

from service.bundle.manifest import Figure, TrainingData
from service.bundle.stage import StateSpec
from service.forms.form import Form


class ModelView(Form):
    """A model as its clients see it."""

    name: str = Field(description="What `model` of a question or a session names")
    bundle: str = Field(description="Name and version, as answers tell them")
    version: str = Field(description="Version that new sessions and questions get")
    task: dict[str, Any] = Field(description="What it does (`kind`), and the limits of its own")
    cell: str = Field(description="Its recurrent cell")
    sessions: bool = Field(description="Whether there are sessions on it")
    inputs: dict[str, Any] = Field(description="JSON Schema of `inputs` of a step, or, without sessions, of a question")
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
