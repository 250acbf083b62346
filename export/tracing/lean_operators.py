"""Lean ONNX translations of torch's operators that slice, split and reshape.

torch's own translation takes up to ten nodes for a slice and makes a sequence of a split. An unrolled graph has
hundreds of them, and simplifying it later would take minutes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import opset20 as op

Value = Any  # a symbolic tensor of torch's exporter

_TO_THE_END = 2**63 - 1
_aten = torch.ops.aten


def _axes(*values: int) -> Value:
    return op.Constant(value_ints=list(values))


def _slice(x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Value:
    start, end = start or 0, _TO_THE_END if end is None else end
    if (start, end, step) == (0, _TO_THE_END, 1):
        return op.Identity(x)
    return op.Slice(x, _axes(start), _axes(end), _axes(dim), _axes(step))


def _split_with_sizes(x: Value, sizes: Sequence[int], dim: int = 0) -> Sequence[Value]:
    if len(sizes) == 1:
        return (op.Identity(x),)
    # The exporter needs num_outputs to count outputs; `onnx.py` removes it, since ONNX allows only sizes or number.
    parts: Sequence[Value] = op.Split(x, _axes(*sizes), axis=dim, num_outputs=len(sizes))
    return parts


def _split(x: Value, size: int, dim: int = 0) -> Sequence[Value]:
    whole, rest = divmod(x.shape[dim], size)
    return _split_with_sizes(x, [size] * whole + [rest] * (rest > 0), dim)


def _unbind(x: Value, dim: int = 0) -> Sequence[Value]:
    if dim == 0 and all(isinstance(size, int) for size in x.shape[2:]):
        # With the first two axes merged, the parts are the outputs of a single split.
        rows = op.Reshape(x, _axes(-1, *x.shape[2:]))
        return _split_evenly(rows, x.shape[0])
    indices: list[Value] = [op.Constant(value_int=i) for i in range(x.shape[dim])]
    return [op.Gather(x, index, axis=dim) for index in indices]


def _split_evenly(x: Value, parts: int) -> Sequence[Value]:
    if parts == 1:
        return (op.Identity(x),)
    pieces: Sequence[Value] = op.Split(x, axis=0, num_outputs=parts)
    return pieces


def _view(x: Value, size: Sequence[int | Value]) -> Value:
    """Reshape with -1 for the one dynamic axis, instead of nodes that compute it."""
    known = [axis if isinstance(axis, int) else -1 for axis in size]
    if known.count(-1) > 1:
        return op.Reshape(x, op.Concat(*(_as_axis(axis) for axis in size), axis=0))
    return op.Reshape(x, _axes(*known))


def _as_axis(size: int | Value) -> Value:
    return _axes(size) if isinstance(size, int) else op.Reshape(size, _axes(-1))


OPERATORS: dict[Callable[..., Any], Callable[..., Any]] = {
    _aten.slice.Tensor: _slice,
    _aten.split_with_sizes.default: _split_with_sizes,
    _aten.split.Tensor: _split,
    _aten.unbind.int: _unbind,
    _aten.view.default: _view,
}
