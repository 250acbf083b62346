"""A session's body as bytes and back: a format version, a checksum, a JSON head and the raw tensors.

magic "URSB" · version u16 · head length u32 · crc32 u32 · head (JSON) · tensors, little-endian, row-major
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from service.state import Row, SequenceState

MAGIC = b"URSB"
VERSION = 1
_SEAL = struct.Struct("<4sI")
_LENGTHS = struct.Struct("<HI")


class RecordDamaged(Exception):
    """The bytes of a record are not what was written."""


@dataclass(frozen=True)
class SessionBody:
    """What a session is beyond its store record.

    Attributes:
        model: Name of the model that it was created for.
        bundle: Tag of the bundle version that it lives on.
        ttl_seconds: How long it may be idle.
        secret: Seeds what the client leaves to chance; never sent.
        state: The recurrent state and pending input.
        last_digest: Digest of the inputs of the last step, "" before the first.
        last_answer: JSON of the outputs of the last step, b"" where they were too large to keep.
    """

    model: str
    bundle: str
    ttl_seconds: int
    secret: str
    state: SequenceState
    last_digest: str = ""
    last_answer: bytes = b""


def encode(body: SessionBody) -> bytes:
    """The bytes of a session."""
    rows = body.state.rows
    tensors = [np.ascontiguousarray(values) for row in rows for values in row.values()]
    head = orjson.dumps(
        {
            "model": body.model,
            "bundle": body.bundle,
            "ttl_seconds": body.ttl_seconds,
            "secret": body.secret,
            "labels": body.state.labels,
            "position": body.state.position,
            "last_digest": body.last_digest,
            "lengths": [len(body.state.pending), len(body.last_answer)],
            "tensors": [[name, v.dtype.str, v.shape] for name, v in rows[0].items()] if rows else [],
        }
    )
    lengths = _LENGTHS.pack(VERSION, len(head))
    parts = [lengths, head, body.state.pending, body.last_answer, *(values.tobytes() for values in tensors)]
    payload = b"".join(parts)
    return _SEAL.pack(MAGIC, zlib.crc32(payload)) + payload


def decode(content: bytes) -> SessionBody:
    """The session in those bytes.

    Raises:
        RecordDamaged: They are cut, altered or of an unknown format.
    """
    payload = _unsealed(content)
    version, head_length = _LENGTHS.unpack_from(payload)
    if version != VERSION:
        raise RecordDamaged(f"the record's format version is {version}, not {VERSION}")
    payload = payload[_LENGTHS.size :]
    head: dict[str, Any] = orjson.loads(payload[:head_length])
    pending_length, answer_length = head["lengths"]
    answer_start = head_length + pending_length
    tensors_start = answer_start + answer_length
    state = SequenceState(
        rows=_rows(payload[tensors_start:], head["tensors"], len(head["labels"])),
        labels=tuple(head["labels"]),
        pending=bytes(payload[head_length:answer_start]),
        position=head["position"],
    )
    return SessionBody(
        model=head["model"],
        bundle=head["bundle"],
        ttl_seconds=head["ttl_seconds"],
        secret=head["secret"],
        state=state,
        last_digest=head["last_digest"],
        last_answer=bytes(payload[answer_start:tensors_start]),
    )


def _unsealed(content: bytes) -> memoryview:
    if len(content) < _SEAL.size + _LENGTHS.size:
        raise RecordDamaged("the record is cut")
    magic, checksum = _SEAL.unpack_from(content)
    payload = memoryview(content)[_SEAL.size :]
    if magic != MAGIC:
        raise RecordDamaged(f"the record begins with {magic!r}, not {MAGIC!r}")
    if zlib.crc32(payload) != checksum:
        raise RecordDamaged("the record's checksum does not match")
    return payload


def _rows(content: memoryview, tensors: list[tuple[str, str, list[int]]], num_rows: int) -> tuple[Row, ...]:
    rows: list[Row] = []
    offset = 0
    for _ in range(num_rows):
        row = {}
        for name, dtype, shape in tensors:
            values = np.frombuffer(content, dtype, int(np.prod(shape)), offset).reshape(shape)
            row[name] = values
            offset += values.nbytes
        rows.append(row)
    return tuple(rows)
