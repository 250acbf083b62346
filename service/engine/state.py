"""The recurrent state of sequences: rows of bytes that become batches of tensors, and rows again. Pure.

A row is the concatenated state tensors of one sequence, in the manifest's order, little-endian. Stores keep rows, and
batches are joined from rows, so nothing handles tensors one by one between two runs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.bundle.stage import StateSpec, TensorSpec

Array = NDArray[Any]
Inputs = Mapping[str, Array]


class _Field(NamedTuple):
    """Where a tensor lies in a row, its shapes in a row and for N = 1, and how its axes are moved.

    `to_batch` moves N from the front to its place in the tensor, `to_rows` moves it back.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    lone_shape: tuple[int, ...]
    start: int
    end: int
    to_batch: tuple[int, ...]
    to_rows: tuple[int, ...]


class RowLayout:
    """Where each state tensor lies in the bytes of a row.

    Attributes:
        num_bytes: Length of a row.
        initial: The row of a sequence that has consumed nothing.

    Args:
        specs: The state tensors, in the manifest's order.
    """

    def __init__(self, specs: Iterable[StateSpec]) -> None:
        self._fields: dict[str, _Field] = {}
        initial, start = [], 0
        for spec in specs:
            dtype = np.dtype(spec.dtype).newbyteorder("<")
            end = start + math.prod(spec.row_shape) * dtype.itemsize
            to_batch, to_rows = axis_orders(spec)
            lone_shape = spec.sized(num_rows=1, rung=1)
            self._fields[spec.name] = _Field(dtype, spec.row_shape, lone_shape, start, end, to_batch, to_rows)
            initial.append(np.full(spec.row_shape, spec.initial, dtype=dtype).tobytes())
            start = end
        self.num_bytes = start
        self.initial = b"".join(initial)

    def tensor(self, row: bytes, name: str) -> Array:
        """Return one tensor of a row.

        Args:
            row: A row, `num_bytes` long.
            name: Name of the state tensor.

        Returns:
            A read-only view of the row, of the manifest's dtype and shape without the batch axis.

        Raises:
            KeyError: There is no such tensor.
        """
        field = self._fields[name]
        values = np.frombuffer(row, field.dtype, math.prod(field.shape), field.start)
        return values.reshape(field.shape)

    def batch(self, rows: Sequence[bytes], num_rows: int | None = None) -> "RowBatch | LoneRow":
        """Join rows into a batch.

        Args:
            rows: The rows; an entry may also be several concatenated rows.
            num_rows: N, the number of rows; None if each entry is one row.

        Raises:
            ValueError: The rows have another length.
        """
        N, content = len(rows) if num_rows is None else num_rows, b"".join(rows)
        if N == 1 and len(content) == self.num_bytes:
            return LoneRow(self._fields, content)
        return RowBatch(self._fields, np.frombuffer(content, np.uint8).reshape(N, self.num_bytes))


def axis_orders(spec: TensorSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the orders of axes that move N from the front to its place, and back. np.moveaxis is ten times slower."""
    to_batch = list(range(1, len(spec.shape)))
    to_batch.insert(spec.batch_axis, 0)
    to_rows = [spec.batch_axis, *(axis for axis in range(len(spec.shape)) if axis != spec.batch_axis)]
    return tuple(to_batch), tuple(to_rows)


class RowBatch:
    """The rows of a batch, uint8 (N, bytes)."""

    def __init__(self, fields: Mapping[str, _Field], rows: NDArray[np.uint8]) -> None:
        self._fields = fields
        self._rows = rows

    def tensors(self, names: Iterable[str]) -> dict[str, Array]:
        """Return the named state tensors, of the manifest's shapes and dtypes, each in its own memory."""
        return {name: self._gather(self._fields[name]) for name in names}

    def replaced(self, tensors: Mapping[str, Array], widths: Sequence[int] | None = None) -> list[bytes]:
        """Return the rows with some tensors replaced.

        Args:
            tensors: The new values, of the manifest's shapes, by name.
            widths: How many rows to join into each entry of the result; None for one each.
        """
        rows = np.empty_like(self._rows) if len(tensors) == len(self._fields) else self._rows.copy()
        for name, values in tensors.items():
            field = self._fields[name]
            _view(rows, field)[...] = values.transpose(field.to_rows)
        if widths is None or len(widths) == len(rows):
            return row_bytes(rows)
        return [rows[start:end].tobytes() for start, end in pairwise(accumulate(widths, initial=0))]

    def _gather(self, field: _Field) -> Array:
        return np.ascontiguousarray(_view(self._rows, field).transpose(field.to_batch))


class LoneRow:
    """The row of a batch of one. N = 1 needs no transposing wherever its axis is, which halves the time that it takes.

    Its methods are those of `RowBatch`, but its tensors are views of the row.
    """

    def __init__(self, fields: Mapping[str, _Field], row: bytes) -> None:
        self._fields = fields
        self._row = row

    def tensors(self, names: Iterable[str]) -> dict[str, Array]:
        """Return the named state tensors as read-only views, of the manifest's shapes and dtypes."""
        return {name: self._tensor(self._fields[name]) for name in names}

    def replaced(self, tensors: Mapping[str, Array], widths: Sequence[int] | None = None) -> list[bytes]:
        """Return the row with some tensors replaced."""
        row = b"".join(
            [
                tensors[name].astype(field.dtype, copy=False).tobytes()
                if name in tensors
                else self._row[field.start : field.end]
                for name, field in self._fields.items()
            ]
        )
        if len(row) != len(self._row):
            raise ValueError(f"the graph gave {len(row)} bytes of state, where a row has {len(self._row)}")
        return [row]

    def _tensor(self, field: _Field) -> Array:
        return np.frombuffer(self._row, field.dtype, math.prod(field.shape), field.start).reshape(field.lone_shape)


def _view(rows: NDArray[np.uint8], field: _Field) -> Array:
    """Return one tensor of all rows as a view of them, (N, ...)."""
    return rows[:, field.start : field.end].view(field.dtype).reshape(len(rows), *field.shape)


def row_bytes(table: NDArray[np.uint8]) -> list[bytes]:
    """Return the bytes of each row of a table (N, bytes). Slices of all bytes would take twice as long."""
    if not table.shape[1]:  # numpy has no dtype of zero bytes
        return [b""] * len(table)
    rows: list[bytes] = table.view(f"V{table.shape[1]}")[:, 0].tolist()
    return rows
