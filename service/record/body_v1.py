"""Reads bodies of version 1, so that sessions survive an upgrade. Nothing writes them any more.

magic "URSB" · crc32 u32 · version u16 · head length u32 · head (JSON) · answer · pending · tensors, row after row
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from service.record.sequence_state import SequenceState

MAGIC = b"URSB"
_LENGTHS_OFFSET = 8
_LENGTHS = struct.Struct("<HI")


@dataclass(frozen=True)
class BodyV1:
    """What version 1 stored of a session; see `service.record.body.Body`."""

    secret: bytes
    state: SequenceState
    digest: bytes
    answer: bytes
    before: SequenceState | None


def decode(content: bytes) -> BodyV1:
    """Decode a body of version 1. Its checksum is ignored, since the store's record has one."""
    _, head_length = _LENGTHS.unpack_from(content, _LENGTHS_OFFSET)
    reader = _Reader(content, _LENGTHS_OFFSET + _LENGTHS.size)
    head: dict[str, Any] = orjson.loads(reader.take(head_length))
    answer = reader.take(head["answer_length"])
    states = [_state(reader, form) for form in head["states"]]
    return BodyV1(
        secret=bytes.fromhex(head["secret"]),
        state=states[0],
        digest=bytes.fromhex(head["last_digest"])[:16].ljust(16, b"\0"),
        answer=answer,
        before=states[1] if len(states) > 1 else None,
    )


class _Reader:
    """Bytes, taken piece by piece."""

    def __init__(self, content: bytes, start: int) -> None:
        self._content = content
        self._start = start

    def take(self, length: int) -> bytes:
        self._start += length
        return self._content[self._start - length : self._start]


def _state(reader: _Reader, form: dict[str, Any]) -> SequenceState:
    """Read a state. The tensors of a row are in the manifest's order, as today."""
    pending = reader.take(form["pending_length"])
    row_bytes = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for _, dtype, shape in form["tensors"])
    rows = tuple(reader.take(row_bytes) for _ in form["labels"])
    return SequenceState(rows, tuple(form["labels"]), pending, form["position"])
