"""Turns a graph module into a small ONNX graph with named tensors: traced by torch, then simplified.

Does not write files; see export.bundle.weight_file.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript.optimizer import fold_constants
from torch import nn

from export.errors import NotDynamic
from export.stages import Arrays, StagePlan, as_tensors
from export.tracing.chain import repeat
from export.tracing.graphs import NO_TOKEN, DecodeGraph
from export.tracing.lean_operators import OPERATORS
from export.tracing.stacks import bypass_stacks
from training.models.streaming import StreamingModel

OPSET = 20
# With one row, torch would take N = 1 for a constant.
TRACED_ROWS = 2

# Operators that may be folded at export, on small tensors: none that rounds, since rounding must be onnxruntime's own.
EXACT = {
    "Cast", "CastLike", "Concat", "ConstantOfShape", "Expand", "Gather", "Identity", "Range", "Reshape", "Shape",
    "Slice", "Squeeze", "Unsqueeze",
}  # fmt: skip
LARGEST_FOLDED = 1024
EVERYTHING = 2**40


class GraphBuilder:
    """Builds the graphs of a model.

    Args:
        state: State tensors of TRACED_ROWS rows, by name.
    """

    def __init__(self, state: Arrays) -> None:
        self._state = state
        self._decode_step: ir.Model | None = None

    def build(self, stage: StagePlan, size: int) -> ir.Model:
        """Build one rung of a stage.

        Raises:
            NotDynamic: The model's code fixes the number of rows.
        """
        graph = stage.build(size).eval()
        inputs = stage.draw(np.random.default_rng(0), TRACED_ROWS, size)
        state = {name: self._state[name] for name in stage.reads}
        if isinstance(graph, DecodeGraph):
            model = self._repeat_decode_step(graph, inputs, state)
        else:
            model = _trace(graph, {spec.name: spec.batch_axis for spec in stage.inputs}, inputs, state)
        for value, name in zip(model.graph.outputs, stage.output_names, strict=True):
            value.name = name
        _simplify(model)
        _check_rows_are_free(model, f"{stage.name} {size}")
        _name_parts(model)
        return model

    def _repeat_decode_step(self, graph: DecodeGraph, inputs: Arrays, state: Arrays) -> ir.Model:
        """Trace one step and repeat it, since tracing takes seconds per step."""
        if self._decode_step is None:
            each = {"uniform": inputs["uniforms"][:, 0]}
            fixed = {name: array for name, array in inputs.items() if name not in {"uniforms", "remaining"}}
            axes = dict.fromkeys((*each, *fixed), 0)
            self._decode_step = _trace(graph.step, axes, {**each, **fixed}, state)
            _simplify(self._decode_step)
        chain = repeat(
            self._decode_step,
            graph.steps,
            each="uniform",
            carried=dict(zip(state, graph.axes, strict=True)),
            length="remaining",
            frozen=NO_TOKEN,
        )
        bypass_stacks(chain)
        return chain


def _trace(graph: nn.Module, batch_axes: Mapping[str, int], inputs: Arrays, state: Arrays) -> ir.Model:
    N = torch.export.Dim("N", min=1)
    state_axes = _state_axes(graph)
    with _without_noise(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            tuple(as_tensors({**inputs, **state}).values()),
            dynamo=True,
            optimize=False,
            verbose=False,
            opset_version=OPSET,
            input_names=[*inputs, *state],
            dynamic_shapes={
                **{name: {axis: N} for name, axis in batch_axes.items()},
                **({"state": tuple({state_axes[name]: N} for name in state)} if state else {}),
            },
            custom_translation_table=OPERATORS,
        )
    if program is None:
        raise TypeError("torch.onnx.export returned no program")
    return program.model


def _state_axes(graph: nn.Module) -> dict[str, int]:
    return {tensor.name: tensor.shape.index("N") for tensor in cast(StreamingModel, graph.model).state}


@contextmanager
def _without_noise() -> Iterator[None]:
    """Silence the exporter's messages about its internals and packages that are not installed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _simplify(model: ir.Model) -> None:
    """Fold constants, merge common subexpressions, remove unused nodes."""
    ir.passes.Sequential(
        passes.InlinePass(),
        passes.IdentityEliminationPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    )(model)
    fold_constants(
        model, input_size_limit=LARGEST_FOLDED, should_fold=lambda node: None if node.op_type in EXACT else False
    )
    for node in model.graph:
        if node.op_type == "Split" and len(node.inputs) == 2:
            node.attributes.pop("num_outputs", None)  # see export.tracing.lean_operators
    ir.passes.Sequential(
        passes.CommonSubexpressionEliminationPass(),
        passes.IdentityEliminationPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(size_limit=EVERYTHING),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
        passes.TopologicalSortPass(),
    )(model)


def _check_rows_are_free(model: ir.Model, name: str) -> None:
    """Raise NotDynamic if N became a constant, which torch's exporter accepts silently."""
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is None or value.shape.is_static():
            raise NotDynamic(f"{name}: {value.name} has the shape {value.shape}; does the model call len()?")


def _name_parts(model: ir.Model) -> None:
    """Name nodes by operator and position, and weights as in the model."""
    for position, node in enumerate(model.graph):
        node.name = f"{node.op_type.lower()}_{position}"
    for name, value in list(model.graph.initializers.items()):
        value.name = name.removeprefix("model.")
