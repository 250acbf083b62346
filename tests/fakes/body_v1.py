"""What wrote bodies of version 1, kept as it was, so that reading them is tested on what was really written."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import orjson

from service.engine.state import Array

_SEAL = struct.Struct("<4sI")
_LENGTHS = struct.Struct("<HI")


@dataclass(frozen=True)
class StateV1:
    """The state of a sequence, its rows as tensors by name."""

    rows: tuple[Mapping[str, Array], ...] = ()
    labels: tuple[str, ...] = ()
    pending: bytes = b""
    position: int = 0


@dataclass(frozen=True)
class SessionBodyV1:
    """What a session was; secret and digest are hexadecimal."""

    model: str
    bundle: str
    ttl_seconds: int
    secret: str
    state: StateV1 = field(default_factory=StateV1)
    last_digest: str = ""
    last_answer: bytes = b""
    before: StateV1 | None = None


def encode_v1(body: SessionBodyV1) -> bytes:
    """The bytes of a session as version 1 wrote them."""
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
    payload = b"".join([_LENGTHS.pack(1, len(head)), head, body.last_answer, *content])
    return _SEAL.pack(b"URSB", zlib.crc32(payload)) + payload


def _form_of(state: StateV1) -> dict[str, object]:
    return {
        "labels": state.labels,
        "position": state.position,
        "pending_length": len(state.pending),
        "tensors": [[name, values.dtype.str, values.shape] for name, values in state.rows[0].items()]
        if state.rows
        else [],
    }


def _content_of(state: StateV1) -> list[bytes]:
    return [state.pending, *(np.ascontiguousarray(values).tobytes() for row in state.rows for values in row.values())]
