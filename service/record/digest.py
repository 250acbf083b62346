"""Digests of decoded inputs: the same for any spelling of the same input. Pure."""

import hashlib
from typing import Any

import orjson

from service.engine.state import Array

_DIGEST_BYTES = 16


def inputs_digest(inputs: dict[str, Any]) -> bytes:
    """16 bytes for inputs in a model's own language."""
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).digest()[:_DIGEST_BYTES]


def tensors_digest(values: Array, returns: str) -> bytes:
    """16 bytes for inputs in tensors and what is to be returned."""
    return hashlib.sha256(b"%b:%b" % (returns.encode(), values.tobytes())).digest()[:_DIGEST_BYTES]


def tensors_digests(values: Array, returns: str) -> list[bytes]:
    """The digests of inputs (N, ...) in tensors, as `tensors_digest` gives them, one for each row."""
    kind, content = b"%b:" % returns.encode(), values.tobytes()
    length = len(content) // len(values)
    starts = range(0, len(content), length)
    return [hashlib.sha256(kind + content[at : at + length]).digest()[:_DIGEST_BYTES] for at in starts]
