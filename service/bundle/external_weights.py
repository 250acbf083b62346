"""The weights of an ONNX graph that lie in files beside it, and onnxruntime's packed forms of them.

    TensorProto.external_data    location, offset, length                              onnx.proto3
                                 prepacked_<i>: <kernel and hash>|<offset>;<length>;<checksum>, more of them after bars

Of onnx.proto3 only what leads to these entries is described here, since a service has no `onnx` in it. Protocol buffers
keep what they do not know.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

_PACKAGE = "unrolled.onnx"
_PACKED = "prepacked_"
_PAGE_BYTES = 4096
_FIELD = descriptor_pb2.FieldDescriptorProto
# Message, then field: number, and the message it holds; None for bytes.
_FIELDS: dict[str, dict[str, tuple[int, str | None]]] = {
    "Model": {"graph": (7, "Graph")},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor")},
    "Node": {"attribute": (5, "Attribute")},
    "Attribute": {"g": (6, "Graph"), "graphs": (11, "Graph")},
    "Tensor": {"external_data": (13, "Entry")},
    "Entry": {"key": (1, None), "value": (2, None)},
}
_REPEATED = ("node", "attribute", "graphs", "initializer", "external_data")


def files_of(model: bytes) -> set[str]:
    """Names of the files that the weights of a model lie in.

    Raises:
        google.protobuf.message.DecodeError: The bytes are no model.
    """
    return {entry.value.decode() for entries in _external(_parsed(model).graph) if (entry := entries.get("location"))}


def with_a_file_each(model: bytes, weights: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Give each tensor of a model a file of its own, which is named by what is in it.

    Args:
        model: A model all of whose external weights lie in one file.
        weights: The content of that file.

    Returns:
        The model whose tensors lie in the new files, and the new files by their names.

    Raises:
        ValueError: An entry is not of the form above.
    """
    parsed = _parsed(model)
    files = {}
    for entries in _external(parsed.graph):
        content = _cut(weights, *_numbers(entries["offset"].value, entries["length"].value))
        entries["offset"].value = b"0"
        for key, entry in entries.items():
            if key.startswith(_PACKED):
                content, entry.value = _with_packed(content, entry.value, weights)
        name = file_name(content)
        entries["location"].value = name.encode()
        files[name] = content
    return parsed.SerializeToString(), files


def file_name(content: bytes) -> str:
    """The name of a file of weights with that content."""
    return f"{hashlib.sha256(content).hexdigest()}.weights"


def _with_packed(content: bytes, packed: bytes, weights: bytes) -> tuple[bytes, bytes]:
    """Add packed weights to the content of a tensor's file, each on pages of its own.

    Returns:
        The content, and the entry that tells where they are in it.
    """
    kernel, *parts = packed.split(b"|")
    renewed = [kernel]
    for part in parts:
        offset, length, checksum = part.split(b";")
        content += bytes(-len(content) % _PAGE_BYTES)
        renewed.append(b"%d;%b;%b" % (len(content), length, checksum))
        content += _cut(weights, *_numbers(offset, length))
    return content, b"|".join(renewed)


def _cut(weights: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(weights):
        raise ValueError(f"{length} bytes from {offset} on are not in a file of {len(weights)}")
    return weights[offset : offset + length]


def _numbers(offset: bytes, length: bytes) -> tuple[int, int]:
    return int(offset), int(length)


def _external(graph: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  a message's type is made below
    """The entries of each tensor that lies in a file, by their keys, those of graphs within the graph too."""
    for tensor in graph.initializer:
        if tensor.external_data:
            yield {entry.key.decode(): entry for entry in tensor.external_data}
    for attribute in chain.from_iterable(node.attribute for node in graph.node):
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _external(inner)


def _parsed(model: bytes) -> Any:  # noqa: ANN401
    return _model_type().FromString(model)


@cache
def _model_type() -> Any:  # noqa: ANN401
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE)
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, held) in fields.items():
            message.field.add(
                name=field,
                number=number,
                label=_FIELD.LABEL_REPEATED if field in _REPEATED else _FIELD.LABEL_OPTIONAL,
                type=_FIELD.TYPE_MESSAGE if held else _FIELD.TYPE_BYTES,
                type_name=f".{_PACKAGE}.{held}" if held else None,
            )
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))
