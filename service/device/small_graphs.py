"""Builds small ONNX graphs that move rows: nodes with integer attributes, and int64 constants."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.bundle.onnx_messages import message_type

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
    """Return a serialised ONNX model with one graph.

    Args:
        name: Name of the graph.
        nodes: Its operators, in order.
        inputs: Its inputs.
        outputs: Its outputs.
        constants: Vectors, int64 (n,), by name.
    """
    model = message_type("Model")(ir_version=IR_VERSION)
    model.opset_import.add(version=OPSET)
    graph = model.graph
    graph.name = name.encode()
    for node in nodes:
        _write_node(graph.node.add(), node)
    for key, values in constants.items():
        numbers = np.array(values, dtype="<i8").tobytes()
        graph.initializer.add(name=key.encode(), dims=[len(values)], data_type=INT64, raw_data=numbers)
    for value in inputs:
        _write_value(graph.input.add(), value)
    for value in outputs:
        _write_value(graph.output.add(), value)
    content: bytes = model.SerializeToString()
    return content


def _write_node(message: Any, node: Node) -> None:  # noqa: ANN401  types of messages are made when they are needed
    message.op_type = node.op_type.encode()
    message.name = node.outputs[0].encode()
    message.input.extend(map(str.encode, node.inputs))
    message.output.extend(map(str.encode, node.outputs))
    for name, value in node.attributes.items():
        if isinstance(value, int):
            message.attribute.add(name=name.encode(), i=value, type=_INT)
        else:
            message.attribute.add(name=name.encode(), ints=value, type=_INTS)


def _write_value(message: Any, value: Value) -> None:  # noqa: ANN401
    message.name = value.name.encode()
    tensor = message.type.tensor_type
    tensor.elem_type = value.element
    tensor.shape.SetInParent()
    for axis in value.shape:
        if isinstance(axis, int):
            tensor.shape.dim.add(dim_value=axis)
        else:
            tensor.shape.dim.add(dim_param=axis.encode())
