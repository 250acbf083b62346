"""The rows of many like records: what `rows` does for one record, with most of the work done once for all."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.stores.base import Successors
from service.stores.lmdb.rows import (
    CHECKSUM,
    CONTENT_AT,
    FILED,
    LENGTHS_AT,
    NAME_LENGTH,
    STEP_AT,
    Rows,
    filed_of,
    sealed,
    to_rows,
)
from service.stores.minutes import SECONDS_PER_MINUTE
from service.stores.packing import CHECKSUM_OFFSET, SEALED_OFFSET, STEP_OFFSET, TTL_OFFSET, checksum_of

_STEP = slice(STEP_AT, STEP_AT + 8)
_META = slice(FILED.stop, CONTENT_AT)


class Following(NamedTuple):
    """A record's key and rows; the tail is empty if the head holds all of it."""

    key: bytes
    head: bytes
    tail: memoryview


def following(keys: Sequence[bytes], stored: Sequence[bytes], group: Successors) -> list[Following | None]:
    """Return the rows of records that follow the stored ones and keep their index entries.

    Args:
        keys: Keys of the N records.
        stored: Their stored heads, b"" where there is none.
        group: The records.

    Returns:
        The rows of each record, None for one that must be handled alone.

    Raises:
        ValueError: The records cannot be packed.
    """
    record = group.swap(0).record
    filed = [(group.used_at + ttl_seconds) // SECONDS_PER_MINUTE for ttl_seconds in group.ttl_seconds]
    first = to_rows(keys[0], record, filed[0])
    if any(first.head[NAME_LENGTH]):  # the head holds the id, so it is not one that the service issues
        return [None] * len(keys)
    contents = _contents(first, group, len(record.owner.encode()))
    length, memory = contents.shape[1], contents.reshape(-1).data
    cut = length - len(first.tail)
    names = slice(LENGTHS_AT, first.body_at)
    meta, alike, end = first.head[_META], first.head[names], first.head[CONTENT_AT + cut :]
    before = (np.array(group.steps, "<u8") - 1).tobytes()
    found: list[Following | None] = []
    for index, (key, head) in enumerate(zip(keys, stored, strict=True)):
        is_next = head[_STEP] == before[8 * index : 8 * index + 8] and head[_META] == meta and head[names] == alike
        if not is_next or sealed(key, head[CHECKSUM.size :]) != head or filed_of(head) > filed[index]:
            found.append(None)
            continue
        start = length * index
        rest = b"".join((head[FILED], meta, memory[start : start + cut], end))
        found.append(Following(key, sealed(key, rest), memory[start + cut : start + length]))
    return found


def _contents(first: Rows, group: Successors, owner_length: int) -> NDArray[np.uint8]:
    """Return the packed records, uint8 (N, bytes), as in `service.stores.packing`."""
    names = np.frombuffer(first.head[CONTENT_AT : first.body_at], np.uint8)
    rows_at = len(names) + group.heads.shape[1]
    N, length = len(group.steps), rows_at + group.tails.shape[1]
    contents = np.empty((N, length), np.uint8)
    contents[:, : len(names)] = names
    contents[:, len(names) : rows_at] = group.heads
    contents[:, rows_at:] = group.tails
    _set(contents, STEP_OFFSET, group.steps, "<u8")
    _set(contents, TTL_OFFSET, group.ttl_seconds, "<u4")
    memory = contents.reshape(-1).data
    starts = range(SEALED_OFFSET, N * length, length)
    payloads = [memory[start : start + length - SEALED_OFFSET] for start in starts]
    named = zip(group.session_ids, payloads, strict=True)
    checksums = [checksum_of(session_id, owner_length, payload) for session_id, payload in named]
    _set(contents, CHECKSUM_OFFSET, checksums, "<u8")
    return contents


def _set(contents: NDArray[np.uint8], start: int, values: Sequence[int], dtype: str) -> None:
    column = np.array(values, dtype)
    contents[:, start : start + column.itemsize].view(dtype)[:, 0] = column
