"""The binary form of many steps, as clients write it."""

import struct
from collections.abc import Sequence
from typing import Any

import orjson
from numpy.typing import NDArray

HEAD_LENGTH = struct.Struct("<I")
DATATYPES = {"i": "INT64", "f": "FP64"}


def binary_head(items: Sequence[Any], values: NDArray[Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """The JSON of a request for steps of those items, or of the sessions with those ids."""
    tensor = {
        "name": "x",
        "shape": list(values.shape),
        "datatype": DATATYPES[values.dtype.kind],
        "parameters": {"binary_data_size": values.nbytes},
    }
    named = [{"session_id": each} if isinstance(each, str) else each for each in items]
    return {"items": named, "inputs": [tensor], **changes}


def binary_form(items: Sequence[Any], values: NDArray[Any], **changes: Any) -> tuple[bytes, int]:  # noqa: ANN401
    """A request's body, and the length of its JSON."""
    head = orjson.dumps(binary_head(items, values, **changes))
    return head + values.tobytes(), len(head)


def binary_message(items: Sequence[Any], values: NDArray[Any], **changes: Any) -> bytes:  # noqa: ANN401
    """The same as a message of a stream."""
    content, length = binary_form(items, values, **changes)
    return HEAD_LENGTH.pack(length) + content
