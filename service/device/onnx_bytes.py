"""Small ONNX graphs as bytes, in protobuf's wire format, for a service that has no `onnx` in it.

    message = (field number, wire type), value, ...        protobuf.dev/programming-guides/encoding
    numbers of fields and types                            onnx.proto3

It can write only what graphs need that move float32 rows: nodes, their integer attributes, int64 constants.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

IR_VERSION = 10
OPSET = 20
FLOAT, INT64 = 1, 7
_INT, _INTS = 2, 7


@dataclass(frozen=True)
class Node:
    """One operator. Attributes are integers or sequences of integers."""

    op_type: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Value:
    """An input or output: a name, FLOAT or INT64, and axes that are lengths or names."""

    name: str
    element: int
    shape: Sequence[int | str]


def model_bytes(
    name: str,
    nodes: Iterable[Node],
    inputs: Iterable[Value],
    outputs: Iterable[Value],
    constants: Mapping[str, Sequence[int]],
) -> bytes:
    """A model with one graph, in the form that onnxruntime reads.

    Args:
        name: Name of the graph.
        nodes: Its operators, in order.
        inputs: Its inputs.
        outputs: Its outputs.
        constants: Vectors, int64 (n,), by name.
    """
    graph = _bytes(2, name.encode())
    graph += b"".join(_bytes(1, _node(node)) for node in nodes)
    graph += b"".join(_bytes(5, _constant(key, values)) for key, values in constants.items())
    graph += b"".join(_bytes(11, _value(value)) for value in inputs)
    graph += b"".join(_bytes(12, _value(value)) for value in outputs)
    return _integer(1, IR_VERSION) + _bytes(7, graph) + _bytes(8, _integer(2, OPSET))


def _node(node: Node) -> bytes:
    named = b"".join(_bytes(1, name.encode()) for name in node.inputs)
    named += b"".join(_bytes(2, name.encode()) for name in node.outputs)
    attributes = b"".join(_bytes(5, _attribute(*item)) for item in node.attributes.items())
    return named + _bytes(3, node.outputs[0].encode()) + _bytes(4, node.op_type.encode()) + attributes


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _bytes(1, name.encode()) + _integer(3, value) + _integer(20, _INT)
    return _bytes(1, name.encode()) + b"".join(_integer(8, item) for item in value) + _integer(20, _INTS)


def _constant(name: str, values: Sequence[int]) -> bytes:
    content = np.array(values, dtype="<i8").tobytes()
    return _integer(1, len(values)) + _integer(2, INT64) + _bytes(8, name.encode()) + _bytes(9, content)


def _value(value: Value) -> bytes:
    axes = b"".join(_bytes(1, _axis(axis)) for axis in value.shape)
    tensor = _integer(1, value.element) + _bytes(2, axes)
    return _bytes(1, value.name.encode()) + _bytes(2, _bytes(1, tensor))


def _axis(axis: int | str) -> bytes:
    return _integer(1, axis) if isinstance(axis, int) else _bytes(2, axis.encode())


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """A value of at least 0: seven bits a byte, the lowest first. The eighth bit is set if more follow."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)
