"""Runs a bundle's graphs on whole inputs, in one or both directions, to measure their quality."""

from collections.abc import Callable
from itertools import count, takewhile

import numpy as np
from numpy.typing import NDArray

from export.running.rungs import Rungs, cut
from export.stages import Arrays
from service.bundle.stage import ITEM_STAGE
from training.models.streaming import passes_of_layer

Features = NDArray[np.float32]


def run_stage(rungs: Rungs, stage: str, inputs: Arrays, output: str) -> Features:
    """Run a stage on whole inputs (N, T, ...). A backward stage starts at their end.

    Returns:
        Its output (N, T, ...), in the order of the inputs.
    """
    plan = rungs.stages[stage]
    N, T = inputs["x"].shape[:2]
    is_backward = plan.direction == "backward"
    given = {name: np.ascontiguousarray(x[:, ::-1]) for name, x in inputs.items()} if is_backward else inputs
    answer = rungs.run_cut(plan, given, rungs.initial_state(N), cut(plan.sizes, T)).outputs[output]
    return answer[:, ::-1] if is_backward else answer


def run_layers(rungs: Rungs, inputs: Arrays) -> Features:
    """Run all layers on whole inputs (N, T, ...).

    Returns:
        Features of both directions of the last layer, float32 (N, T, 2 H), forward first.
    """
    for passes in takewhile(lambda both: both[0].name in rungs.stages, map(passes_of_layer, count(1))):
        both = [run_stage(rungs, each.name, inputs, "features") for each in passes]
        inputs = {"x": np.concatenate(both, axis=2)}
    return inputs["x"]


def logits(rungs: Rungs, inputs: Arrays) -> Features:
    """Return the logits float32 (N, T, V) of whole inputs (N, T, ...), of a streaming or a bidirectional model."""
    if ITEM_STAGE in rungs.stages:
        return run_stage(rungs, ITEM_STAGE, inputs, "logits")
    return run_stage(rungs, "head", {"x": run_layers(rungs, inputs)}, "logits")


def each_alone(run: Callable[[Arrays], Features], inputs: Arrays, lengths: NDArray[np.int64]) -> Features:
    """Run the first `lengths` (N,) items of each row of inputs (N, T, ...) alone.

    Returns:
        The outputs, float32 (N, T, C), with zeros for the other items.
    """
    T = inputs["x"].shape[1]
    rows = [run({name: x[[row], :length] for name, x in inputs.items()})[0] for row, length in enumerate(lengths)]
    return np.stack([np.pad(row, [(0, T - len(row)), (0, 0)]) for row in rows])
