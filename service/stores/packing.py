"""Packs records into bytes and unpacks them, for every backend: format version, checksum, fixed fields, names, body.

    magic "UR" · version u8 · owner length u8 · checksum u64 · step u64 · used_at u32 · ttl u32 · bundle length u8 ·
    ended length u8 · owner · bundle · ended · body                                                  little-endian

The checksum, XXH3, covers everything after it and the record's id, so a record under another's key also counts as
damaged. A backend may compare the step (STEP_OFFSET), or read any other fixed field, without unpacking the rest.
"""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from service.stores.base import Damaged, Record, SwapGroup

MAGIC = b"UR"
VERSION = 1
_SEAL = struct.Struct("<2sBBQ")
_FIELDS = struct.Struct("<QIIBB")
FIXED = struct.Struct(_SEAL.format + _FIELDS.format.removeprefix("<"))
STEP = struct.Struct("<Q")
TIMES = struct.Struct("<II")
_CHECKSUM_OFFSET = struct.calcsize("<2sBB")
STEP_OFFSET = _SEAL.size
TIMES_OFFSET = STEP_OFFSET + STEP.size
_TTL_OFFSET = TIMES_OFFSET + struct.calcsize("<I")
LENGTHS_OFFSET = TIMES_OFFSET + TIMES.size
NAMES_OFFSET = FIXED.size


def pack(record: Record) -> bytes:
    """Return the bytes of a record.

    Raises:
        ValueError: A name is longer than 255 bytes, or a number does not fit.
    """
    owner, bundle, ended = record.owner.encode(), record.bundle.encode(), record.ended.encode()
    try:
        fields = _FIELDS.pack(record.step, record.used_at, record.ttl_seconds, len(bundle), len(ended))
        payload = b"".join((fields, owner, bundle, ended, record.body))
        return _SEAL.pack(MAGIC, VERSION, len(owner), _checksum_of(record.session_id, len(owner), payload)) + payload
    except struct.error as error:
        raise ValueError(f"record {record.session_id!r} cannot be packed: {error}") from error


def pack_group(group: SwapGroup) -> NDArray[np.uint8]:
    """Return the bytes of the records of a group, uint8 (N, bytes): what `pack` does for one, mostly done once for all.

    Raises:
        ValueError: The records cannot be packed.
    """
    numbers = group.steps[0], group.used_at, group.ttl_seconds[0]
    first = pack(Record(group.session_ids[0], group.owner, group.bundle, *numbers))  # without its body
    owner_length = len(group.owner.encode())
    tails_at = len(first) + group.heads.shape[1]
    N, length = len(group.steps), tails_at + group.tails.shape[1]
    contents = np.empty((N, length), np.uint8)
    contents[:, : len(first)] = np.frombuffer(first, np.uint8)
    contents[:, len(first) : tails_at] = group.heads
    contents[:, tails_at:] = group.tails
    _set_column(contents, STEP_OFFSET, group.steps, "<u8")
    _set_column(contents, _TTL_OFFSET, group.ttl_seconds, "<u4")
    memory = contents.reshape(-1).data
    payloads = [memory[start + _SEAL.size : start + length] for start in range(0, N * length, length)]
    named = zip(group.session_ids, payloads, strict=True)
    checksums = [_checksum_of(session_id, owner_length, payload) for session_id, payload in named]
    _set_column(contents, _CHECKSUM_OFFSET, checksums, "<u8")
    return contents


def unpack(session_id: str, content: bytes) -> Record | Damaged:
    """Return the record in these bytes, or what is wrong with them."""
    if len(content) < NAMES_OFFSET:
        return Damaged(session_id, "the record is cut")
    magic, version, owner_length, checksum = _SEAL.unpack_from(content)
    if magic != MAGIC:
        return Damaged(session_id, f"the record begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        return Damaged(session_id, f"the record's format version is {version}, not {VERSION}")
    if _checksum_of(session_id, owner_length, memoryview(content)[_SEAL.size :]) != checksum:
        return Damaged(session_id, "the record's checksum does not match")
    step, used_at, ttl_seconds, bundle_length, ended_length = _FIELDS.unpack_from(content, _SEAL.size)
    bundle_at = NAMES_OFFSET + owner_length
    ended_at = bundle_at + bundle_length
    body_at = ended_at + ended_length
    return Record(
        session_id,
        content[NAMES_OFFSET:bundle_at].decode(),
        content[bundle_at:ended_at].decode(),
        step,
        used_at,
        ttl_seconds,
        content[ended_at:body_at].decode(),
        content[body_at:],
    )


def _checksum_of(session_id: str, owner_length: int, payload: bytes | memoryview) -> int:
    """Return the checksum of a record under its id. The payload is everything after the checksum."""
    return xxh3_64_intdigest(payload, seed=xxh3_64_intdigest(session_id.encode(), seed=owner_length))


def _set_column(contents: NDArray[np.uint8], start: int, values: Sequence[int], dtype: str) -> None:
    column = np.array(values, dtype)
    contents[:, start : start + column.itemsize].view(dtype)[:, 0] = column
