"""Builds the manifest of a new bundle, without figures, from its checkpoint and the plans of its stages."""

from dataclasses import asdict
from typing import cast

from torch import nn

from export.recipes.registry import recipe
from export.stages import StagePlan
from service.bundle.manifest import FORMAT_VERSION, Manifest, TrainingData
from service.bundle.stage import Stage, StateSpec
from training.checkpoint import Checkpoint
from training.models.streaming import StateTensor, StreamingModel

TOKENIZER = "tokenizer.json"
CHOSEN_ON = "dev"  # the split on which `training.loop.train` finds the best epoch


def describe(
    checkpoint: Checkpoint,
    name: str,
    model: nn.Module,
    stages: tuple[StagePlan, ...],
    files: dict[str, str],
) -> Manifest:
    """Return the manifest of a bundle without its figures, which may take minutes to measure.

    Args:
        checkpoint: The checkpoint to export.
        name: Name of the bundle.
        model: Its prepared model.
        stages: The plans that its graphs were made from.
        files: Checksum of each existing file.
    """
    task = recipe(checkpoint.task)
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        cell=task.cell(model),
        task=task.task(checkpoint.tokenizer_path, model, stages),
        stages=tuple(_stage(stage) for stage in stages),
        state=tuple(_state(tensor) for tensor in cast(StreamingModel, model).state),
        data=tuple(TrainingData(**asdict(source)) for source in checkpoint.sources),
        licence=_licence(checkpoint),
        command=checkpoint.command,
        chosen_on=CHOSEN_ON if checkpoint.origin is None else None,
        files=files,
    )


def _licence(checkpoint: Checkpoint) -> str:
    if checkpoint.origin is not None:
        return checkpoint.origin.licence
    licences = sorted({source.licence for source in checkpoint.sources})
    return f"that of Unrolled; trained on data under: {'; '.join(licences)}"


def graph_file(stage: str, size: int) -> str:
    """Return the name of a rung's file."""
    return f"{stage}-{size}.onnx"


def _stage(stage: StagePlan) -> Stage:
    return Stage.model_validate(
        {
            "name": stage.name,
            "rungs": {size: graph_file(stage.name, size) for size in stage.sizes},
            "inputs": stage.inputs,
            "outputs": stage.outputs,
            "reads": stage.reads,
            "writes": stage.writes,
            "fit": stage.fit,
            "direction": stage.direction,
        }
    )


def _state(tensor: StateTensor) -> StateSpec:
    return StateSpec.model_validate(asdict(tensor))
