"""How much of a tensor in JSON is read: told before any of it is parsed."""

import math
from typing import Any

import numpy as np
import orjson
import pytest

from service.api.open_inference.tensors import DATATYPES, MAX_BESIDE, MAX_ROWS, check_size, read_tensor
from service.bundle.stage import TensorSpec
from service.engine.state import Array
from service.errors import InvalidInput
from service.forms.open_inference import InferInput
from service.forms.steps import MAX_STEP_ITEMS

SEGMENT = 3
IDS = TensorSpec(name="x", dtype="int64", shape=("N", "T"))
SEGMENTS = TensorSpec(name="x", dtype="float64", shape=("N", "T", SEGMENT))


def request(data: list[Any]) -> bytes:
    """A request with that data."""
    return orjson.dumps({"id": "a, [b]", "inputs": [{"name": "x", "shape": [1, 1], "datatype": "INT64", "data": data}]})


def read(spec: TensorSpec, shape: list[int], data: list[Any]) -> Array:
    """The tensor of a request in JSON."""
    tensor = InferInput(name="x", shape=shape, datatype=DATATYPES[spec.dtype], data=data)
    return read_tensor(spec, [tensor], memoryview(b""))


@pytest.mark.parametrize(
    ("spec", "shape"),
    [(IDS, [MAX_ROWS, MAX_STEP_ITEMS // MAX_ROWS]), (IDS, [1, MAX_STEP_ITEMS]), (SEGMENTS, [1, MAX_STEP_ITEMS, 3])],
)
def test_the_largest_shape_is_read(spec: TensorSpec, shape: list[int]) -> None:
    values = np.arange(math.prod(shape), dtype=spec.dtype).reshape(shape)
    assert read(spec, shape, values.ravel().tolist()).tobytes() == values.tobytes()
    assert read(spec, shape, values.tolist()).tobytes() == values.tobytes()


@pytest.mark.parametrize("data", [[[1.5, 2.5]], [[[1.5] * 3, 2.5]], [[[1.5] * 3, "abc"]], [[[1.5] * 3] * 2] * 2])
def test_segments_are_nested_to_their_depth(data: list[Any]) -> None:
    with pytest.raises(InvalidInput, match=r"inputs\.0\.data: "):
        read(SEGMENTS, [1, 2, SEGMENT], data)


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        (IDS, [1] * MAX_STEP_ITEMS),
        (IDS, [[1] * (MAX_STEP_ITEMS // MAX_ROWS)] * MAX_ROWS),
        (SEGMENTS, [1.5] * MAX_STEP_ITEMS * SEGMENT),
        (SEGMENTS, [[[1.5] * SEGMENT] * (MAX_STEP_ITEMS // MAX_ROWS)] * MAX_ROWS),
    ],
)
def test_the_largest_tensor_is_read(spec: TensorSpec, data: list[Any]) -> None:
    check_size(request(data), spec)


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        (IDS, [1] * (MAX_STEP_ITEMS + MAX_BESIDE + 1)),
        (SEGMENTS, [1.5] * (MAX_STEP_ITEMS * SEGMENT + MAX_BESIDE + 1)),
        (SEGMENTS, [[1.5]] * (MAX_STEP_ITEMS + MAX_ROWS + MAX_BESIDE)),
        (IDS, [[]] * (MAX_STEP_ITEMS + MAX_ROWS + MAX_BESIDE)),
    ],
)
def test_more_numbers_or_lists_than_any_tensor_has_are_refused(spec: TensorSpec, data: list[Any]) -> None:
    with pytest.raises(InvalidInput, match=r"inputs\.0\.data: at most 1024 rows, and 65536 items together"):
        check_size(request(data), spec)
