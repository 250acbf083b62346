"""What is served."""

from typing import Any

from pydantic import Field

from service.bundle.manifest import Figure, TrainingData
from service.bundle.stage import StateSpec
from service.forms.form import Form


class ModelView(Form):
    """A model as its clients see it."""

    name: str
    bundle: str
    version: str
    task: dict[str, Any]
    cell: str
    sessions: bool = Field(description="Whether there are sessions on it")
    inputs: dict[str, Any] = Field(description="JSON Schema of `inputs` of a step, or, without sessions, of a question")
    rungs: dict[str, list[int]]
    state: list[StateSpec]
    figures: list[Figure]
    data: list[TrainingData]
    licence: str


class ModelList(Form):
    """Every served model."""

    models: list[ModelView]
