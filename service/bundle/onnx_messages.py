"""The parts of ONNX's messages (onnx.proto3) that the service reads and writes, since it does not depend on `onnx`.

Protocol buffers preserve fields that they do not know.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

_PACKAGE = "unrolled.onnx"
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"int": _FIELD.TYPE_INT64, "bytes": _FIELD.TYPE_BYTES}
# Message, then field: its number and its type, with a star if it is repeated.
_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Model": {"ir_version": (1, "int"), "graph": (7, "Graph"), "opset_import": (8, "*Opset")},
    "Opset": {"version": (2, "int")},
    "Graph": {
        "node": (1, "*Node"),
        "name": (2, "bytes"),
        "initializer": (5, "*Tensor"),
        "input": (11, "*Value"),
        "output": (12, "*Value"),
    },
    "Node": {
        "input": (1, "*bytes"),
        "output": (2, "*bytes"),
        "name": (3, "bytes"),
        "op_type": (4, "bytes"),
        "attribute": (5, "*Attribute"),
    },
    "Attribute": {
        "name": (1, "bytes"),
        "i": (3, "int"),
        "g": (6, "Graph"),
        "ints": (8, "*int"),
        "graphs": (11, "*Graph"),
        "type": (20, "int"),
    },
    "Tensor": {
        "dims": (1, "*int"),
        "data_type": (2, "int"),
        "name": (8, "bytes"),
        "raw_data": (9, "bytes"),
        "external_data": (13, "*Entry"),
    },
    "Entry": {"key": (1, "bytes"), "value": (2, "bytes")},
    "Value": {"name": (1, "bytes"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"elem_type": (1, "int"), "shape": (2, "Shape")},
    "Shape": {"dim": (1, "*Axis")},
    "Axis": {"dim_value": (1, "int"), "dim_param": (2, "bytes")},
}


@cache
def message_type(name: str) -> Any:  # noqa: ANN401  it is made here
    """Return the class of a message."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def _pool() -> Any:  # noqa: ANN401
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE)
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, held) in fields.items():
            kind = held.removeprefix("*")
            message.field.add(
                name=field,
                number=number,
                label=_FIELD.LABEL_REPEATED if held.startswith("*") else _FIELD.LABEL_OPTIONAL,
                type=_SCALARS.get(kind, _FIELD.TYPE_MESSAGE),
                type_name=None if kind in _SCALARS else f".{_PACKAGE}.{kind}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
