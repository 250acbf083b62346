"""Tensors as the Open Inference Protocol sends them: numbers in JSON, row by row, or little-endian bytes after it."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from service.bundle.stage import TensorSpec
from service.engine.state import Array
from service.errors import InvalidInput, Malformed
from service.forms.open_inference import InferInput, TensorMetadata
from service.forms.steps import MAX_STEP_ITEMS

DATATYPES = {"int64": "INT64", "float64": "FP64", "float32": "FP32"}
MAX_ROWS = 1024
MAX_BESIDE = 4096  # commas, or brackets, in a request besides those of its numbers: in strings, for instance


def check_size(content: bytes, spec: TensorSpec) -> None:
    """Raise InvalidInput if JSON has more numbers, or lists of them, than the largest tensor that the model reads.

    Counting commas and brackets takes milliseconds. Parsing 8 MB of lists would block the loop for half a second before
    the shape, which may be wrong, could be checked.
    """
    num_values = MAX_STEP_ITEMS * math.prod(axis for axis in spec.shape if isinstance(axis, int))
    num_lists = MAX_STEP_ITEMS + MAX_ROWS
    if content.count(b",") > num_values + MAX_BESIDE or content.count(b"[") > num_lists + MAX_BESIDE:
        raise _too_many("data")


def read_tensor(spec: TensorSpec, tensors: Sequence[InferInput], blob: memoryview) -> Array:
    """Return the items (N, T, ...) of a request, which must be its only tensor.

    Args:
        spec: What the model reads.
        tensors: The request's tensors.
        blob: The bytes after its JSON.

    Raises:
        Malformed: Sizes do not add up.
        InvalidInput: It is not the tensor that the model reads.
    """
    tensor = tensors[0]
    if tensor.name != spec.name or len(tensors) > 1:
        wrong = next((n for n, each in enumerate(tensors) if each.name != spec.name), 1)
        raise InvalidInput(f"the model reads one tensor, {spec.name!r}", ("inputs", wrong, "name"))
    if tensor.datatype != DATATYPES[spec.dtype]:
        raise InvalidInput(f"must be {DATATYPES[spec.dtype]}", ("inputs", 0, "datatype"))
    if not _fits(tensor.shape, spec):
        raise InvalidInput(f"must be {shape_of(spec)}, where -1 is any size", ("inputs", 0, "shape"))
    if tensor.shape[0] > MAX_ROWS or math.prod(tensor.shape[:2]) > MAX_STEP_ITEMS:
        raise _too_many("shape")
    size = tensor.parameters.binary_data_size
    if (size is None) == (tensor.data is None):
        raise InvalidInput("give either data or binary_data_size", ("inputs", 0))
    if len(blob) != (size or 0):
        raise Malformed(f"binary_data_size is {size or 0}, but {len(blob)} bytes follow the JSON")
    num_values = math.prod(tensor.shape)
    values = _parsed(tensor.data, tensor.shape, spec) if tensor.data is not None else _cut(blob, spec)
    if values.size != num_values:
        raise InvalidInput(f"{tensor.shape} has {num_values} values, not {values.size}", ("inputs", 0, "data"))
    return values.reshape(tensor.shape)


def write_tensors(
    head: dict[str, Any], outputs: Mapping[str, Array], is_binary: Mapping[str, bool]
) -> tuple[bytes, int | None]:
    """Encode an answer.

    Args:
        head: The members of the JSON besides the outputs.
        outputs: Values by name, in order.
        is_binary: Which of them are sent as bytes.

    Returns:
        The body, and the length of its JSON if bytes follow it.
    """
    blobs, described = [], []
    for name, values in outputs.items():
        output: dict[str, Any] = {"name": name, "datatype": DATATYPES[values.dtype.name], "shape": values.shape}
        if is_binary[name]:
            blobs.append(values.tobytes())
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            output["data"] = values.reshape(-1)
        described.append(output)
    content = orjson.dumps({**head, "outputs": described}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([content, *blobs]), len(content)) if blobs else (content, None)


def shape_of(spec: TensorSpec) -> list[int]:
    """Return a tensor's shape, where -1 is any size."""
    return [axis if isinstance(axis, int) else -1 for axis in spec.shape]


def metadata_of(spec: TensorSpec) -> TensorMetadata:
    """Describe a tensor to clients."""
    return TensorMetadata(name=spec.name, datatype=DATATYPES[spec.dtype], shape=shape_of(spec))


def _too_many(field: str) -> InvalidInput:
    return InvalidInput(f"at most {MAX_ROWS} rows, and {MAX_STEP_ITEMS} items together", ("inputs", 0, field))


def _fits(shape: Sequence[int], spec: TensorSpec) -> bool:
    expected = shape_of(spec)
    return len(shape) == len(expected) and all(want in (-1, size) for size, want in zip(shape, expected, strict=True))


def _cut(blob: memoryview, spec: TensorSpec) -> Array:
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    if len(blob) % dtype.itemsize:
        raise Malformed(f"{len(blob)} bytes are not a whole number of {DATATYPES[spec.dtype]} values")
    return np.frombuffer(blob, dtype)


def _flat(data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Return the numbers of nested lists, whose lengths must match the shape at each depth."""
    for size in shape[1:]:
        if not all(isinstance(each, list) and len(each) == size for each in data):
            raise InvalidInput(f"must be nested as {list(shape)}, or not at all", ("inputs", 0, "data"))
        data = list(chain.from_iterable(data))
    return data


def _parsed(data: list[Any], shape: Sequence[int], spec: TensorSpec) -> Array:
    """Return numbers as a flat tensor. They are nested as their shape says, or not at all."""
    if len(data) <= shape[0] and all(isinstance(each, list) for each in data):
        data = _flat(data, shape)
    if len(data) > math.prod(shape):
        raise InvalidInput(f"{list(shape)} has {math.prod(shape)} values, not {len(data)}", ("inputs", 0, "data"))
    allowed = {int} if spec.dtype == "int64" else {int, float}
    if not set(map(type, data)) <= allowed:
        raise InvalidInput(f"must be {'whole ' if spec.dtype == 'int64' else ''}numbers", ("inputs", 0, "data"))
    try:
        return np.array(data, dtype=spec.dtype)
    except OverflowError:
        raise InvalidInput(f"a number does not fit {DATATYPES[spec.dtype]}", ("inputs", 0, "data")) from None
