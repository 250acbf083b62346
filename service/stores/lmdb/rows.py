"""Splits a record into rows of an ordered table with pages of 4 KiB, and joins them.

    key         head: checksum u32 · entry minute u32 · used u32 · tail length u32 · length u16 · name length u16
                · first bytes · name · zeros
    key + "t"   tail: the other bytes                                                                little-endian

A value too long for a leaf page gets its own overflow pages, 4096 n - 16 bytes. The tail fills these to the last byte;
the head, which holds all that the indexes and a compare-and-swap need, takes a few hundred bytes of the leaf. Both rows
are adjacent, so a record costs one descent of the tree. Zeros pad the head to a multiple of 16, so that an answer a few
bytes longer than the last does not split the leaf.

Knows the layout of packed records (service.stores.packing), but not the table's library.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from xxhash import xxh3_64_digest

from service.record.ids import ID_BYTES, ID_CHARACTERS, TIME_BYTES, bytes_of, id_from
from service.stores.base import CHECKPOINT, SECONDS_PER_MINUTE, Damaged, Record, SwapGroup
from service.stores.packing import (
    FIXED,
    LENGTHS_OFFSET,
    NAMES_OFFSET,
    STEP,
    STEP_OFFSET,
    TIMES,
    TIMES_OFFSET,
    pack,
    pack_group,
    unpack,
)

TAIL = b"t"
KEY_BYTES = ID_BYTES
_PAGE_BYTES, _PAGE_HEADER_BYTES = 4096, 16
_MAX_HEAD_BYTES = 1900
_ALIGNMENT = 16
_CHECKSUM = struct.Struct("<I")
_META = struct.Struct("<IIIHH")
_CONTENT_AT = _CHECKSUM.size + _META.size
_MINUTE = struct.Struct("<I")
_META_BYTES = slice(_CHECKSUM.size, _CONTENT_AT)
_ENTRY_MINUTE = slice(_CHECKSUM.size, _CHECKSUM.size + _MINUTE.size)
_NAME_LENGTH = slice(_CONTENT_AT - struct.calcsize("<H"), _CONTENT_AT)
_META_REST = slice(_ENTRY_MINUTE.stop, _CONTENT_AT)
_STEP_AT = _CONTENT_AT + STEP_OFFSET
_STEP = slice(_STEP_AT, _STEP_AT + STEP.size)
_TIMES_AT = _CONTENT_AT + TIMES_OFFSET
_LENGTHS_AT = _CONTENT_AT + LENGTHS_OFFSET
_NAMES_AT = _CONTENT_AT + NAMES_OFFSET
_QUARANTINE = b"found damaged: "


class Rows(NamedTuple):
    """A record's two values.

    Attributes:
        head: The first bytes, with what indexes need.
        tail: The rest; empty if the head holds all of it.
        body_at: Offset of the body in the head.
    """

    head: bytes
    tail: bytes
    body_at: int


# A record's key, its head and its tail. A NamedTuple would be slower to make.
KeyedRows = tuple[bytes, bytes, memoryview]


class Indexed(NamedTuple):
    """What indexes and counts hold about a record.

    Attributes:
        owner: The owner whose pages list it. None for a checkpoint, which no page lists.
        bundle: Its bundle version. None unless it lives.
        used: Minute of its last use. None unless it lives.
        entry_minute: Minute of its entry in `by_expiry`, never later than its expiry.
        num_bytes: Length of its body.
    """

    owner: bytes | None
    bundle: bytes | None
    used: int | None
    entry_minute: int
    num_bytes: int


@lru_cache(maxsize=16384)
def key_of(session_id: str) -> bytes:
    """Return the key of an id: its bytes, or for any other text a digest of that length, next to the id it begins with.

    Such texts are a checkpoint's `<id>~<name>`, and anything that strangers ask for.
    """
    content = bytes_of(session_id)
    if content is not None:
        return content
    digest = blake2b(session_id.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
    beside = bytes_of(session_id[:ID_CHARACTERS])
    return digest if beside is None else beside[:TIME_BYTES] + digest[TIME_BYTES:]


def to_rows(key: bytes, record: Record, entry_minute: int) -> Rows:
    """Return the rows of a record.

    Raises:
        ValueError: The record cannot be packed.
    """
    content = pack(record)
    body_at = len(content) - len(record.body)
    split_at = _head_length(len(content), body_at)
    name = b"" if id_from(key) == record.session_id else record.session_id.encode()
    meta = _META.pack(entry_minute, record.used_at // SECONDS_PER_MINUTE, len(content) - split_at, split_at, len(name))
    rest = b"".join((meta, content[:split_at], name, bytes(-(_CONTENT_AT + split_at + len(name)) % _ALIGNMENT)))
    return Rows(_with_checksum(key, rest), content[split_at:], _CONTENT_AT + body_at)


def next_rows(keys: Sequence[bytes], stored: Sequence[bytes], group: SwapGroup) -> list[KeyedRows | None]:
    """Return the rows of records that follow the stored ones and keep their index entries.

    Most of what `to_rows` does for one record is done once for all.

    Args:
        keys: Keys of the N records.
        stored: Their stored heads, b"" where there is none.
        group: The records.

    Returns:
        The rows of each record, None for one that must be handled alone.

    Raises:
        ValueError: The records cannot be packed.
    """
    minutes = [(group.used_at + ttl_seconds) // SECONDS_PER_MINUTE for ttl_seconds in group.ttl_seconds]
    first = to_rows(keys[0], group.swap(0).record, minutes[0])
    if any(first.head[_NAME_LENGTH]):  # the head holds the id, so it is not one that the service issues
        return [None] * len(keys)
    contents = pack_group(group)
    length, memory = contents.shape[1], contents.reshape(-1).data
    split_at = length - len(first.tail)
    names = slice(_LENGTHS_AT, first.body_at)
    meta, alike, end = first.head[_META_REST], first.head[names], first.head[_CONTENT_AT + split_at :]
    before = (np.array(group.steps, "<u8") - 1).tobytes()
    found: list[KeyedRows | None] = []
    for index, (key, head) in enumerate(zip(keys, stored, strict=True)):
        is_next = head[_STEP] == before[8 * index : 8 * index + 8] and head[_META_REST] == meta and head[names] == alike
        if not is_next or _with_checksum(key, head[_CHECKSUM.size :]) != head or entry_minute_of(head) > minutes[index]:
            found.append(None)
            continue
        start = length * index
        rest = b"".join((head[_ENTRY_MINUTE], meta, memory[start : start + split_at], end))
        found.append((key, _with_checksum(key, rest), memory[start + split_at : start + length]))
    return found


def to_record(key: bytes, session_id: str | None, head: bytes, tail: bytes) -> Record | Damaged:
    """Return the record in these rows, or what is wrong with them.

    Args:
        session_id: The requested id; None to take it from the head.
    """
    if not is_intact(key, head):
        return Damaged(session_id or id_from(key), "the record's head is not what was written")
    _, _, tail_length, length, _ = _META.unpack_from(head, _CHECKSUM.size)
    if len(tail) < tail_length:
        return Damaged(session_id or id_of(key, head), "the record is cut")
    return unpack(session_id or id_of(key, head), head[_CONTENT_AT : _CONTENT_AT + length] + tail[:tail_length])


def is_intact(key: bytes, head: bytes) -> bool:
    """Return whether a head is as it was written under this key."""
    return len(head) >= _NAMES_AT and _with_checksum(key, head[_CHECKSUM.size :]) == head


def id_of(key: bytes, head: bytes) -> str:
    """Return the id of an intact head's record."""
    _, _, _, length, name_length = _META.unpack_from(head, _CHECKSUM.size)
    name = head[_CONTENT_AT + length : _CONTENT_AT + length + name_length]
    return name.decode() if name else id_from(key)


def step_of(head: bytes) -> int:
    """Return the step of an intact head's record."""
    step: int = STEP.unpack_from(head, _STEP_AT)[0]
    return step


def entry_minute_of(head: bytes) -> int:
    """Return the minute under which `by_expiry` has an intact head's record."""
    entry_minute: int = _MINUTE.unpack_from(head, _CHECKSUM.size)[0]
    return entry_minute


def has_tail(head: bytes) -> bool:
    """Return whether an intact head has a tail."""
    return bool(_META.unpack_from(head, _CHECKSUM.size)[2])


def expiry_of(head: bytes) -> int:
    """Return the minute in which an intact head's record is overdue."""
    return expires_at_of(head) // SECONDS_PER_MINUTE


def expires_at_of(head: bytes) -> int:
    """Return when an intact head's record is overdue, in seconds since 1970."""
    used_at, ttl_seconds = TIMES.unpack_from(head, _TIMES_AT)
    return int(used_at + ttl_seconds)


def with_entry_minute(key: bytes, head: bytes, entry_minute: int) -> bytes:
    """Return an intact head with another minute of its entry in `by_expiry`."""
    rest = _MINUTE.pack(entry_minute) + head[_CHECKSUM.size + _MINUTE.size :]
    return _with_checksum(key, rest)


def has_same_entries(before: bytes, after: Rows) -> bool:
    """Return whether a head and the next one have the same index entries and tail length. Faster than `indexed_of`."""
    names = slice(_LENGTHS_AT, after.body_at)
    return before[_META_BYTES] == after.head[_META_BYTES] and before[names] == after.head[names]


def indexed_of(head: bytes) -> Indexed:
    """Return what indexes and counts hold about an intact head's record."""
    entry_minute, used, tail_length, length, _ = _META.unpack_from(head, _CHECKSUM.size)
    _, _, owner_length, _, _, _, _, bundle_length, ended_length = FIXED.unpack_from(head, _CONTENT_AT)
    bundle_at = _NAMES_AT + owner_length
    ended_at = bundle_at + bundle_length
    body_at = ended_at + ended_length
    return Indexed(
        owner=None if head[ended_at:body_at] == CHECKPOINT.encode() else head[_NAMES_AT:bundle_at],
        bundle=None if ended_length else head[bundle_at:ended_at],
        used=None if ended_length else used,
        entry_minute=entry_minute,
        num_bytes=_CONTENT_AT + length + tail_length - body_at,
    )


def quarantined(head: bytes) -> bytes:
    """Return a damaged head, marked as absent from all indexes and counts."""
    return head if is_quarantined(head) else _QUARANTINE + head


def is_quarantined(head: bytes) -> bool:
    """Return whether a head is marked as quarantined."""
    return head.startswith(_QUARANTINE)


def _head_length(length: int, num_fixed_bytes: int) -> int:
    """Return how many of a packed record's bytes go into the head: at least those before the body."""
    if length <= _MAX_HEAD_BYTES:
        return length
    num_pages = (length - num_fixed_bytes + _PAGE_HEADER_BYTES) // _PAGE_BYTES
    rest = length - (num_pages * _PAGE_BYTES - _PAGE_HEADER_BYTES)
    return rest if num_pages and rest <= _MAX_HEAD_BYTES else num_fixed_bytes


def _with_checksum(key: bytes, rest: bytes) -> bytes:
    """Return a head under its key: the checksum, which is the lower half of XXH3, and the rest."""
    return xxh3_64_digest(key + rest)[:3:-1] + rest
