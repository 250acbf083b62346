"""The recurrent state of sequences, as rows that can be stacked into a batch and taken apart again. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import StateSpec, TensorSpec

Array = NDArray[Any]
Row = Mapping[str, Array]


@dataclass(frozen=True)
class SequenceState:
    """All that the next step of a sequence needs.

    Attributes:
        rows: One row of state tensors for each label; their shapes are the manifest's without the batch axis.
        labels: What the rows are: the names of channels, or ("",) where a sequence is a single row.
        pending: Input that has arrived but fills no whole item yet, in the task's own bytes.
        position: Items consumed so far.
    """

    rows: tuple[Row, ...] = ()
    labels: tuple[str, ...] = field(default=())
    pending: bytes = b""
    position: int = 0

    @property
    def row(self) -> Row:
        """The only row of a sequence that has one."""
        (row,) = self.rows
        return row

    def advanced(self, row: Row, num_items: int) -> "SequenceState":
        """This state after a single-row sequence consumed some items."""
        return replace(self, rows=(row,), position=self.position + num_items)


def initial_row(specs: Iterable[StateSpec]) -> dict[str, Array]:
    """The declared state of a sequence that has read nothing."""
    return {spec.name: np.full(spec.row_shape, spec.initial, dtype=spec.dtype) for spec in specs}


def stack(rows: Sequence[Row], specs: Iterable[TensorSpec]) -> dict[str, Array]:
    """Batch rows: each tensor gets its batch axis where its spec has "N"."""
    return {spec.name: np.stack([row[spec.name] for row in rows], axis=spec.batch_axis) for spec in specs}


def split(arrays: Mapping[str, Array], specs: Iterable[TensorSpec], num_rows: int) -> list[dict[str, Array]]:
    """Take a batch apart. The rows own their memory, so that none keeps the whole batch alive."""
    rows: list[dict[str, Array]] = [{} for _ in range(num_rows)]
    for spec in specs:
        by_row = np.moveaxis(arrays[spec.name], spec.batch_axis, 0)
        for row, values in zip(rows, by_row, strict=True):
            row[spec.name] = values.copy()
    return rows
