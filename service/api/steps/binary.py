"""The binary form of many steps: JSON, then tensors, after the Open Inference Protocol's binary extension.

    {"items": [{"session_id", "step"?}, ...], "return"?, "inputs": [{"name": "x", "shape": [N, T], "datatype": "INT64",
     "parameters": {"binary_data_size": 8 N T}}]} │ the tensor, little-endian, row-major

The header `Inference-Header-Content-Length` is the length of the JSON. The answer has the same form: an item for each
item, and one tensor, whose rows are zeros for refused items. An output whose shape differs from the first one's, for
instance from another model, does not fit the tensor and is in its item's JSON.
"""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from service.api.steps.item_errors import parsed_items
from service.api.steps.items import refused_item
from service.engine.state import Array
from service.errors import InvalidInput, Malformed
from service.forms.binary_steps import BinaryStepItem, BinaryStepItems
from service.steps.turn import Ask, Turn

DTYPES = {"INT64": "<i8", "FP64": "<f8"}
DATATYPES = {"i": "INT64", "f": "FP32"}
MAX_VALUES = 2**22
_LENGTH = re.compile(rb"[0-9]{1,18}")


class BinarySteps:
    """A parsed request.

    Attributes:
        head: Its JSON.
        values: The items (N, T, ...).
        wrong: Errors of single items, by index.
        num_answered: Number of items that may be answered with logits.
    """

    def __init__(self, head: BinaryStepItems, values: Array, wrong: Mapping[int, InvalidInput]) -> None:
        self.head = head
        self.values = values
        self.wrong = wrong
        self.num_answered = math.prod(values.shape[:2]) if head.returns in (None, "logits") else 0

    def asks(self, owner: str) -> list[Ask]:
        """Return one ask for each row. The model checks the values of its row."""
        returns, allows = self.head.returns, self.head.allow_numerics_change
        return [
            Ask(owner, item.session_id, item.step, None, values, returns, allows, num_request_items=self.num_answered)
            for item, values in zip(self.head.items, self.values, strict=True)
        ]


def read(body: bytes, header_length: bytes) -> BinarySteps:
    """Parse a body.

    Raises:
        Malformed: The lengths do not add up, or the JSON is not valid.
        InvalidInput: The JSON does not have that form.
    """
    content, blob = split_body(body, header_length)
    head, wrong = parsed_items(BinaryStepItems, BinaryStepItem, content, {})
    return BinarySteps(head, _values(head, blob), wrong)


def split_body(body: bytes, header_length: bytes) -> tuple[bytes, memoryview]:
    """Split a body into its JSON and the bytes after it.

    Raises:
        Malformed: The body is shorter than the header says, or there is no such header.
    """
    if not _LENGTH.fullmatch(header_length) or int(header_length) > len(body):
        where = "in Inference-Header-Content-Length, or on a stream in a message's first four bytes"
        raise Malformed(f"a binary body must say how long its leading JSON is: {where}")
    length = int(header_length)
    return body[:length], memoryview(body)[length:]


def write(turns: Sequence[Turn]) -> tuple[bytes, int]:
    """Encode answered turns.

    Returns:
        The body, and the length of its JSON.
    """
    rows = [_row(turn) for turn in turns]
    first = next((row for row in rows if row is not None), None)
    if first is None:
        head = b'{"items":[%b]}' % b",".join([_item(turn, True) for turn in turns])
        return head, len(head)
    name, example = first
    values = np.zeros((len(turns), *example.shape), dtype=np.int64 if name == "argmax" else np.float32)
    fits = [row is None or row[1].shape == example.shape for row in rows]
    for index, row in enumerate(rows):
        if row is not None and fits[index]:
            values[index] = row[1]
    items = b",".join(map(_item, turns, fits))
    blob = values.tobytes()
    output = {
        "name": name,
        "shape": values.shape,
        "datatype": DATATYPES[values.dtype.kind],
        "parameters": {"binary_data_size": len(blob)},
    }
    head = b'{"items":[%b],"outputs":[%b]}' % (items, orjson.dumps(output))
    return head + blob, len(head)


def _values(head: BinaryStepItems, blob: memoryview) -> Array:
    (tensor,) = head.inputs
    dtype = np.dtype(DTYPES[tensor.datatype])
    num_values = math.prod(tensor.shape)
    if num_values > MAX_VALUES:
        raise Malformed(f"{tensor.shape} {tensor.datatype} has more than {MAX_VALUES} values")
    if num_values * dtype.itemsize != len(blob):
        raise Malformed(f"{tensor.shape} {tensor.datatype} has {num_values * dtype.itemsize} bytes, not {len(blob)}")
    if tensor.parameters.binary_data_size != len(blob):
        raise Malformed(f"binary_data_size is {tensor.parameters.binary_data_size}, but {len(blob)} bytes follow")
    if tensor.shape[0] != len(head.items):
        raise InvalidInput(f"{len(head.items)} items need as many rows, not {tensor.shape[0]}", ("inputs", 0, "shape"))
    return np.frombuffer(blob, dtype).reshape(tensor.shape)


def _item(turn: Turn, has_row: bool) -> bytes:
    answer = turn.answer
    if answer is not None:
        more = b"" if has_row else b',"outputs":%b' % b"".join(answer.outputs_pieces())
        if answer.is_numerics_changed:
            more += b',"numerics_changed":true'
        return b'{"session_id":"%b","status":200,"step":%d%b}' % (answer.session_id.encode(), answer.step, more)
    return orjson.dumps(refused_item(turn))


def _row(turn: Turn) -> tuple[str, Array] | None:
    """Return the name and the values of a step's output. A repeated step has them in JSON only."""
    answer = turn.answer
    if answer is None or answer.outputs == b"{}":
        return None
    if answer.values is not None:
        return ("argmax" if answer.values.dtype.kind == "i" else "logits"), answer.values
    ((name, values),) = orjson.loads(answer.outputs).items()
    return name, np.array(values)
