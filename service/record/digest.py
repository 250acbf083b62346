"""Digests of decoded inputs: the same for any spelling of the same input. Pure."""

import hashlib
from typing import Any

import numpy as np
import orjson

from service.engine.state import Array, row_bytes

_DIGEST_BYTES = 16


def inputs_digest(inputs: dict[str, Any]) -> bytes:
    """Return the 16-byte digest of inputs in a model's own language."""
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).digest()[:_DIGEST_BYTES]


def tensors_digest(values: Array, returns: str) -> bytes:
    """Return the 16-byte digest of inputs in tensors and of the requested output."""
    return hashlib.sha256(b"%b:%b" % (returns.encode(), values.tobytes())).digest()[:_DIGEST_BYTES]


def tensors_digests(values: Array, returns: str) -> list[bytes]:
    """Return the digest of each row of inputs (N, ...) in tensors, as `tensors_digest` would."""
    kind, rows = b"%b:" % returns.encode(), row_bytes(values.reshape(len(values), -1).view(np.uint8))
    return [hashlib.sha256(kind + row).digest()[:_DIGEST_BYTES] for row in rows]
