"""Logits that are too many to be JSON as a whole: they are made JSON piece by piece, as they are sent."""

from collections.abc import Iterator

import orjson

from service.engine.state import Array

# As JSON more than any answer that is kept with its session: each takes four bytes at least, as "0.0,".
MANY_LOGITS = 2**14
PIECE_LOGITS = 2**14


def are_many(name: str, values: Array | None) -> bool:
    """Whether an output of a step is sent so."""
    return name == "logits" and values is not None and values.size > MANY_LOGITS


def json_pieces(logits: Array) -> Iterator[bytes]:
    """The JSON of the outputs of a step, the same as in one piece.

    Args:
        logits: float32 (T, V).
    """
    num_rows = max(1, PIECE_LOGITS // logits[0].size)
    yield b'{"logits":['
    for at in range(0, len(logits), num_rows):
        rows = orjson.dumps(logits[at : at + num_rows], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        yield b"," + rows if at else rows
    yield b"]}"
