"""The measured quality of a model: of the evaluated checkpoint, and of the exported weights."""

import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import nn

from export.errors import NotASeed
from export.weights import rounded
from service.bundle.manifest import Figure
from training.checkpoint import Checkpoint, Figures
from training.data.source import DataError
from training.settings import Settings, describe

# Settings, as `describe` writes them, in which runs of different seeds may differ. A user's file must have the same
# sha256, but may be somewhere else.
MAY_DIFFER = (
    "seed=",
    *(f"loop.{name}=" for name in ("accelerator", "devices", "strategy", "precision", "threads")),
    *(f"{name}.path=" for name in ("data.own", "own", "text")),
)


def measured(checkpoint: Checkpoint, others: Sequence[Checkpoint] = ()) -> tuple[Figure, ...]:
    """Return the figures of a checkpoint, then those over several seeds, then those of its rounded weights.

    The graphs compute with the rounded weights. Measuring these needs the data: if it is missing, their figures are
    left out, with a message on stderr. Weights that float16 holds exactly are not measured twice.

    Args:
        checkpoint: The checkpoint to export.
        others: Checkpoints of runs with other seeds. Figures that all of them have are averaged.

    Raises:
        NotASeed: One of the others is of another task, or has other settings, the same figures, or none in common.
    """
    for each in others:
        if each.task != checkpoint.task:
            raise NotASeed(f"{each.path} is a checkpoint of {each.task}, not of {checkpoint.task}")
        check_alike(each.path, each.settings, checkpoint.settings)
    seeds = over_seeds([each.figures for each in (checkpoint, *others)]) if others else ()
    return (*_of_checkpoint(checkpoint), *seeds, *_of_rounded_weights(checkpoint))


def check_alike(path: Path, settings: Settings, others: Settings) -> None:
    """Check that the settings of two runs differ at most in seed, machine and path of the data.

    Raises:
        NotASeed: They differ in more. Names `path`, the checkpoint with `settings`.
    """
    found, expected = (
        {line for line in describe(each) if not line.startswith(MAY_DIFFER)} for each in (settings, others)
    )
    if found != expected:
        name = min(found ^ expected).partition("=")[0]
        raise NotASeed(f"{path} differs in more than its seed, for example in {name}")


def over_seeds(runs: Sequence[Figures]) -> tuple[Figure, ...]:
    """Compute the mean and standard deviation of each figure that all runs have.

    Args:
        runs: The figures of at least two runs, which should differ only in their seed.

    Raises:
        NotASeed: The runs have no figure in common, or two of them have the same figures.
    """
    figures = tuple(_over_seeds(runs))
    if not figures:
        raise NotASeed("the runs have no figure in common: give runs of the same task, measured on the same splits")
    if any(one == other for one, other in combinations(runs, 2)):
        raise NotASeed("two of the runs have the same figures: give each run once, and not the bundle's own")
    return figures


def _over_seeds(runs: Sequence[Figures]) -> Iterator[Figure]:
    for split, figures in runs[0].items():
        for metric in figures:
            values = [each[split][metric] for each in runs if metric in each.get(split, {})]
            if len(values) == len(runs):
                mean, deviation = statistics.fmean(values), statistics.stdev(values)
                yield Figure(metric=metric, split=split, value=mean, of="seeds", deviation=deviation, runs=len(runs))


def of_checkpoint(figures: Iterable[Figure]) -> Figures:
    """Return the checkpoint's figures among those of a manifest, by split and name."""
    found: Figures = {}
    for figure in figures:
        if figure.of == "checkpoint":
            found.setdefault(figure.split, {})[figure.metric] = figure.value
    return found


def _of_checkpoint(checkpoint: Checkpoint) -> Iterator[Figure]:
    for split, values in checkpoint.figures.items():
        for metric, value in values.items():
            yield Figure(metric=metric, split=split, value=value, of="checkpoint")


def _of_rounded_weights(checkpoint: Checkpoint) -> Iterator[Figure]:
    model = rounded(checkpoint.model)
    if _is_same(model, checkpoint.model):
        yield from (figure.model_copy(update={"of": "graph"}) for figure in _of_checkpoint(checkpoint))
        return
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


def _is_same(rounded_model: nn.Module, model: nn.Module) -> bool:
    """Whether both models have the same parameters, bit for bit."""
    pairs = zip(rounded_model.parameters(), model.parameters(), strict=True)
    return all(torch.equal(rounded_weights, weights) for rounded_weights, weights in pairs)
