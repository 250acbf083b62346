"""The state of a sequence between two steps: rows of bytes, and what belongs to them. Pure."""

from typing import NamedTuple

SINGLE_ROW: tuple[str, ...] = ("",)  # the labels of a single-row sequence


class SequenceState(NamedTuple):
    """All that the next step of a sequence needs.

    Attributes:
        rows: One row per label.
        labels: The names of the rows: names of channels, or SINGLE_ROW.
        pending: Input that has arrived but does not fill an item yet, in the task's own bytes.
        position: Number of items consumed so far.
    """

    rows: tuple[bytes, ...] = ()
    labels: tuple[str, ...] = ()
    pending: bytes = b""
    position: int = 0

    @property
    def row(self) -> bytes:
        """The row of a single-row sequence.

        Raises:
            ValueError: It has no row, or several.
        """
        (row,) = self.rows
        return row

    def advanced(self, row: bytes, num_items: int) -> "SequenceState":
        """Return a single-row sequence's state after `num_items` more items; `row` is its next row."""
        return SequenceState((row,), self.labels, self.pending, self.position + num_items)
