"""What a bundle says of itself, filled in from the checkpoint and the plans of its stages."""

from dataclasses import asdict
from pathlib import Path
from typing import cast

from tokenizers import Tokenizer
from torch import nn

from export.figures import measured
from export.stages import StagePlan, max_horizon
from service.bundle.manifest import (
    FORMAT_VERSION,
    ForecastingTask,
    GenerationTask,
    Manifest,
    SentimentTask,
    Stage,
    StateSpec,
    Task,
    TrainingData,
)
from training.checkpoint import Checkpoint
from training.models.forecasting import QUANTILE_LEVELS
from training.models.profile import SEGMENT
from training.models.sentiment import CLASSES
from training.models.streaming import StateTensor, StreamingModel
from training.vocabulary import UNKNOWN

TOKENIZER = "tokenizer.json"
CELLS = {"sentiment": "gru", "generation": "lstm", "forecasting": "gru"}
# Every passage of the training text but the first follows a line break.
GENERATION_START = "\n"


def describe(
    checkpoint: Checkpoint, model: nn.Module, stages: tuple[StagePlan, ...], files: dict[str, str]
) -> Manifest:
    """The manifest of a bundle.

    Args:
        checkpoint: What is exported.
        model: Its prepared model.
        stages: What its graphs were made from.
        files: Checksum of each file that is there.
    """
    licences = sorted({source.licence for source in checkpoint.sources})
    return Manifest(
        format_version=FORMAT_VERSION,
        name=checkpoint.task,
        cell=CELLS[checkpoint.task],
        task=_task(checkpoint, stages),
        stages=tuple(_stage(stage) for stage in stages),
        state=tuple(_state(tensor) for tensor in cast(StreamingModel, model).state),
        figures=measured(checkpoint),
        data=tuple(TrainingData(**asdict(source)) for source in checkpoint.sources),
        licence=f"that of Unrolled; trained on data under: {'; '.join(licences)}",
        command=checkpoint.command,
        files=files,
    )


def graph_file(stage: str, size: int) -> str:
    """Name of a rung's file."""
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
        }
    )


def _task(checkpoint: Checkpoint, stages: tuple[StagePlan, ...]) -> Task:
    match checkpoint.task:
        case "sentiment":
            return SentimentTask(labels=CLASSES, tokenizer=TOKENIZER)
        case "generation":
            characters = _characters(cast(Path, checkpoint.tokenizer_path))
            return GenerationTask(characters=characters, start=GENERATION_START, tokenizer=TOKENIZER)
        case _:
            return ForecastingTask(segment=SEGMENT, quantiles=QUANTILE_LEVELS, max_horizon=max_horizon(stages))


def _characters(tokenizer: Path) -> tuple[str, ...]:
    ids = Tokenizer.from_file(str(tokenizer)).get_vocab()
    return tuple(sorted((character for character in ids if character != UNKNOWN), key=lambda c: ids[c]))


def _state(tensor: StateTensor) -> StateSpec:
    return StateSpec.model_validate(asdict(tensor))
