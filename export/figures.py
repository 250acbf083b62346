"""The measured quality of a model: of the checkpoint as it was evaluated, and of the weights that are exported."""

import statistics
import sys
from collections.abc import Iterator, Sequence

import torch

from export.weights import rounded
from service.bundle.manifest import Figure
from training.checkpoint import Checkpoint
from training.data.source import DataError


def measured(checkpoint: Checkpoint, others: Sequence[Checkpoint] = ()) -> tuple[Figure, ...]:
    """All figures of a checkpoint, then the same of its rounded weights, whose numbers the graphs give.

    The latter need the data. Where it cannot be had, they are left out, and that is said.

    Args:
        checkpoint: What is exported.
        others: Checkpoints of runs with other seeds; figures that all have are averaged.
    """
    seeds = _over_seeds([checkpoint, *others]) if others else ()
    return (*_of_checkpoint(checkpoint), *seeds, *_of_rounded_weights(checkpoint))


def _over_seeds(checkpoints: Sequence[Checkpoint]) -> Iterator[Figure]:
    """Mean and standard deviation of each figure."""
    for split, figures in checkpoints[0].figures.items():
        for metric in figures:
            values = [each.figures[split][metric] for each in checkpoints if metric in each.figures.get(split, {})]
            if len(values) == len(checkpoints):
                mean, deviation = statistics.fmean(values), statistics.stdev(values)
                yield Figure(
                    metric=metric, split=split, value=mean, of="seeds", deviation=deviation, runs=len(checkpoints)
                )


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
