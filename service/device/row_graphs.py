"""Graphs that gather the state tensors of a batch from a pool of rows, and pack them into rows again.

    fetch   pool float32 (S, D), slots int64 (N,)  ─►  Gather, Split, Reshape, Transpose  ─►  h, c, ...
    pack    h, c, ...  ─►  Transpose, Reshape, Concat  ─►  rows float32 (N, D), and once more for the host

A row has the store's layout (`service.engine.state`), read as words of four bytes. Nothing is computed, so values keep
their bits.
"""

import math
from collections.abc import Sequence

from service.bundle.stage import StateSpec
from service.device.small_graphs import FLOAT, INT64, Node, Value, model_bytes
from service.engine.state import axis_orders


def in_words(spec: StateSpec) -> StateSpec:
    """Return a state tensor as words of four bytes, float32. A dtype of eight bytes adds an axis of length 2."""
    if spec.dtype == "float32":
        return spec
    return spec.model_copy(update={"dtype": "float32", "shape": (*spec.shape, 2)})


def row_length(words: Sequence[StateSpec]) -> int:
    """Return D, the number of words in a row."""
    return sum(math.prod(spec.row_shape) for spec in words)


def fetch_graph(words: Sequence[StateSpec]) -> bytes:
    """Return the graph that gathers the rows of a batch and returns its state tensors by name."""
    pieces = [f"{spec.name}/flat" for spec in words]
    constants: dict[str, Sequence[int]] = {"lengths": [math.prod(spec.row_shape) for spec in words]}
    nodes = [Node("Gather", ["pool", "slots"], ["rows"]), Node("Split", ["rows", "lengths"], pieces, {"axis": 1})]
    for spec, piece in zip(words, pieces, strict=True):
        rows, (to_batch, _) = f"{spec.name}/rows", axis_orders(spec)
        constants[f"{spec.name}/shape"] = [-1, *spec.row_shape]
        nodes.append(Node("Reshape", [piece, f"{spec.name}/shape"], [rows]))
        nodes.append(Node("Transpose", [rows], [spec.name], {"perm": to_batch}))
    inputs = [Value("pool", FLOAT, ["S", row_length(words)]), Value("slots", INT64, ["N"])]
    return model_bytes("fetch", nodes, inputs, _values(words), constants)


def pack_graph(words: Sequence[StateSpec]) -> bytes:
    """Return the graph that takes state tensors by name and returns `rows`, and the same values again as `copy`."""
    nodes: list[Node] = []
    constants: dict[str, Sequence[int]] = {}
    for spec in words:
        _, to_rows = axis_orders(spec)
        constants[f"{spec.name}/shape"] = [-1, math.prod(spec.row_shape)]
        nodes.append(Node("Transpose", [spec.name], [f"{spec.name}/rows"], {"perm": to_rows}))
        nodes.append(Node("Reshape", [f"{spec.name}/rows", f"{spec.name}/shape"], [f"{spec.name}/flat"]))
    nodes.append(Node("Concat", [f"{spec.name}/flat" for spec in words], ["rows"], {"axis": 1}))
    nodes.append(Node("Identity", ["rows"], ["copy"]))
    outputs = [Value(name, FLOAT, ["N", row_length(words)]) for name in ("rows", "copy")]
    return model_bytes("pack", nodes, _values(words), outputs, constants)


def _values(words: Sequence[StateSpec]) -> list[Value]:
    return [Value(spec.name, FLOAT, spec.shape) for spec in words]
