"""The measured quality of a model: of the checkpoint as it was evaluated, and of the weights that are exported."""

import sys
from collections.abc import Iterator

import torch

from export.weights import rounded
from service.bundle.manifest import Figure
from training.checkpoint import Checkpoint
from training.data.source import DataError


def measured(checkpoint: Checkpoint) -> tuple[Figure, ...]:
    """All figures of a checkpoint, then the same of its rounded weights, whose numbers the graphs give.

    The second need the data. Where it cannot be had, they are left out, and that is said.
    """
    return (*_of_checkpoint(checkpoint), *_of_rounded_weights(checkpoint))


def _of_checkpoint(checkpoint: Checkpoint) -> Iterator[Figure]:
    for split, values in checkpoint.figures.items():
        for metric, value in values.items():
            yield Figure(metric=metric, split=split, value=value, of="checkpoint")


def _of_rounded_weights(checkpoint: Checkpoint) -> Iterator[Figure]:
    model = rounded(checkpoint.model)
    for split in checkpoint.figures:
        print(f"measuring the exported weights on the {split} split", file=sys.stderr)
        try:
            with torch.no_grad():
                values = checkpoint.definition.evaluate(model, split)
        except DataError as error:
            print(f"not measured: {error}", file=sys.stderr)
            return
        for metric, value in values.items():
            yield Figure(metric=metric, split=split, value=value, of="graph")
