"""Logits too large to be serialised as a whole: they become JSON piece by piece, as they are sent."""

from collections.abc import Iterator

import orjson

from service.engine.state import Array

# Their JSON exceeds any answer that is kept with its session: each logit takes at least four bytes, as "0.0,".
MANY_LOGITS = 2**14
PIECE_LOGITS = 2**14


def are_many(name: str, values: Array | None) -> bool:
    """Whether an output of a step is sent piece by piece."""
    return name == "logits" and values is not None and values.size > MANY_LOGITS


def json_pieces(logits: Array) -> Iterator[bytes]:
    """Yield the JSON of a step's outputs, byte for byte as in one piece.

    Args:
        logits: float32 (T, V).
    """
    num_rows = max(1, PIECE_LOGITS // logits[0].size)
    yield b'{"logits":['
    for at in range(0, len(logits), num_rows):
        rows = orjson.dumps(logits[at : at + num_rows], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        yield b"," + rows if at else rows
    yield b"]}"
