"""The rows of many records that are alike, worked out together: what `service.stores.rows` does for one record, with
numpy's columns in place of Python's fields."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.stores.base import Successors
from service.stores.packing import CHECKSUM_OFFSET, SEALED_OFFSET, STEP_OFFSET
from service.stores.packing import checksum_of as content_checksum_of
from service.stores.rows import (
    CHECKSUM,
    CONTENT_AT,
    FILED,
    NAME_LENGTH,
    SECONDS_PER_MINUTE,
    STEP_AT,
    TTL_AT,
    checksum_of,
    is_intact,
    to_rows,
)

Bytes = NDArray[np.uint8]


class Columns:
    """The rows of N records that are to follow those that are stored.

    Args:
        keys: Of the records.
        stored: The heads that are stored, b"" where there are none.
        group: The records.

    Attributes:
        heads: What comes first of each record.
        tails: The rest of each; b"" where the heads hold all of it.
        is_won: Whether each follows what is stored and is filed as that is. Any other must be looked at alone.

    Raises:
        ValueError: The records cannot be packed.
    """

    def __init__(self, keys: Sequence[bytes], stored: Sequence[bytes], group: Successors) -> None:
        record = group.swap(0).record
        filed = record.expires_at // SECONDS_PER_MINUTE
        self._first = to_rows(keys[0], record, filed)
        length = len(self._first.head)
        before = _table([head if len(head) == length else bytes(length) for head in stored])
        contents = self._contents(group, len(record.owner.encode()))
        self.heads = self._heads(keys, before, contents)
        self.tails = self._tails(contents)
        follows = self._follows(before, np.array(group.steps), filed)
        self.is_won = [each and is_intact(key, head) for each, key, head in zip(follows, keys, stored, strict=True)]

    def _contents(self, group: Successors, owner_length: int) -> Bytes:
        """The packed records, see `service.stores.packing`."""
        names = np.frombuffer(self._first.head[CONTENT_AT : self._first.body_at], np.uint8)
        rows_at = len(names) + group.heads.shape[1]
        N, length = len(group.steps), rows_at + group.tails.shape[1]
        contents = np.empty((N, length), np.uint8)
        contents[:, : len(names)] = names
        contents[:, len(names) : rows_at] = group.heads
        contents[:, rows_at:] = group.tails
        _set(contents, STEP_OFFSET, "<u8", group.steps)
        memory = contents.reshape(-1).data
        sealed = [memory[start + SEALED_OFFSET : start + length] for start in range(0, N * length, length)]
        checksums = [
            content_checksum_of(each, owner_length, payload)
            for each, payload in zip(group.session_ids, sealed, strict=True)
        ]
        _set(contents, CHECKSUM_OFFSET, "<u8", checksums)
        return contents

    def _heads(self, keys: Sequence[bytes], before: Bytes, contents: Bytes) -> list[bytes]:
        """The heads, filed as those before."""
        cut = contents.shape[1] - len(self._first.tail)
        heads = np.tile(np.frombuffer(self._first.head, np.uint8), (len(keys), 1))
        heads[:, FILED] = before[:, FILED]
        heads[:, CONTENT_AT : CONTENT_AT + cut] = contents[:, :cut]
        rests = _rows(heads[:, CHECKSUM.size :])
        checksums = np.array([checksum_of(key, rest) for key, rest in zip(keys, rests, strict=True)], "<u4")
        return [checksum + rest for checksum, rest in zip(_rows(checksums[:, None].view(np.uint8)), rests, strict=True)]

    def _tails(self, contents: Bytes) -> list[memoryview]:
        length, cut = contents.shape[1], contents.shape[1] - len(self._first.tail)
        memory = contents.reshape(-1).data
        return [memory[start + cut : start + length] for start in range(0, len(memory), length)]

    def _follows(self, before: Bytes, steps: NDArray[np.int64], filed: int) -> list[bool]:
        """Whether the heads before are of the steps before, and filed as those that follow them."""
        model = np.frombuffer(self._first.head, np.uint8)
        if model[NAME_LENGTH].any():  # an id that is not as ids are issued stands in the head
            return [False] * len(steps)
        is_next = _column(before, STEP_AT, "<u8") + 1 == steps
        for alike in (slice(FILED.stop, CONTENT_AT), slice(TTL_AT, self._first.body_at)):
            is_next &= (before[:, alike] == model[alike]).all(axis=1)
        is_next &= _column(before, FILED.start, "<u4") <= filed
        follows: list[bool] = is_next.tolist()
        return follows


def _table(rows: Sequence[bytes]) -> Bytes:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def _rows(table: Bytes) -> list[bytes]:
    content, length = table.tobytes(), table.shape[1]
    return [content[start : start + length] for start in range(0, len(content), length)]


def _column(table: Bytes, start: int, dtype: str) -> NDArray[np.unsignedinteger]:
    column: NDArray[np.unsignedinteger] = table[:, start : start + np.dtype(dtype).itemsize].view(dtype)[:, 0]
    return column


def _set(table: Bytes, start: int, dtype: str, values: Sequence[int]) -> None:
    _column(table, start, dtype)[:] = np.array(values, dtype)
