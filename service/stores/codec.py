"""A session's body as bytes and back: a format version, a checksum, a JSON head and the raw tensors.

magic "URSB" · version u16 · head length u32 · crc32 u32 · head (JSON) · tensors, little-endian, row-major
"""

import math
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
        last_answer: JSON of the outputs of the last step, b"" where they are too large to keep.
        before: The state before the last step, kept only where its answer is not: it can be computed again.
    """

    model: str
    bundle: str
    ttl_seconds: int
    secret: str
    state: SequenceState
    last_digest: str = ""
    last_answer: bytes = b""
    before: SequenceState | None = None


def encode(body: SessionBody) -> bytes:
    """The bytes of a session."""
    states = [body.state] if body.before is None else [body.state, body.before]
    head = orjson.dumps(
        {
            "model": body.model,
            "bundle": body.bundle,
            "ttl_seconds": body.ttl_seconds,
            "secret": body.secret,
            "last_digest": body.last_digest,
            "answer_length": len(body.last_answer),
            "states": [_form_of(state) for state in states],
        }
    )
    content = (part for state in states for part in _content_of(state))
    payload = b"".join([_LENGTHS.pack(VERSION, len(head)), head, body.last_answer, *content])
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
    reader = _Reader(payload[_LENGTHS.size :])
    head: dict[str, Any] = orjson.loads(reader.take(head_length))
    last_answer = bytes(reader.take(head["answer_length"]))
    states = [_state(reader, form) for form in head["states"]]
    return SessionBody(
        model=head["model"],
        bundle=head["bundle"],
        ttl_seconds=head["ttl_seconds"],
        secret=head["secret"],
        state=states[0],
        last_digest=head["last_digest"],
        last_answer=last_answer,
        before=states[1] if len(states) > 1 else None,
    )


class _Reader:
    """Bytes, taken piece by piece."""

    def __init__(self, content: memoryview) -> None:
        self._content = content

    def take(self, length: int) -> memoryview:
        taken, self._content = self._content[:length], self._content[length:]
        return taken


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


def _form_of(state: SequenceState) -> dict[str, Any]:
    """What the head says of a state, so that its bytes can be read."""
    return {
        "labels": state.labels,
        "position": state.position,
        "pending_length": len(state.pending),
        "tensors": [[name, values.dtype.str, values.shape] for name, values in state.rows[0].items()]
        if state.rows
        else [],
    }


def _content_of(state: SequenceState) -> list[bytes]:
    return [state.pending, *(np.ascontiguousarray(values).tobytes() for row in state.rows for values in row.values())]


def _state(reader: _Reader, form: dict[str, Any]) -> SequenceState:
    pending = bytes(reader.take(form["pending_length"]))
    rows = tuple(_row(reader, form["tensors"]) for _ in form["labels"])
    return SequenceState(rows=rows, labels=tuple(form["labels"]), pending=pending, position=form["position"])


def _row(reader: _Reader, tensors: list[tuple[str, str, list[int]]]) -> Row:
    row = {}
    for name, dtype, shape in tensors:
        length = math.prod(shape) * np.dtype(dtype).itemsize
        row[name] = np.frombuffer(reader.take(length), dtype).reshape(shape)
    return row
