"""An ONNX graph's external weights, in files beside it, and onnxruntime's packed forms of them.

TensorProto.external_data    location, offset, length                              onnx.proto3
                             prepacked_<i>: <kernel and hash>|<offset>;<length>;<checksum>, further ones after bars
"""

import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

from service.bundle.onnx_messages import message_type

_PACKED = "prepacked_"
_PAGE_BYTES = 4096


def weight_files(model: bytes) -> set[str]:
    """Return the names of the files that hold a model's weights.

    Raises:
        google.protobuf.message.DecodeError: The bytes are not a model.
    """
    return {entry.value.decode() for entries in _external(_parsed(model).graph) if (entry := entries.get("location"))}


def split_weights(model: bytes, weights: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Give each tensor of a model its own file, named by its content.

    Args:
        model: A model with all of its external weights in one file.
        weights: The content of that file.

    Returns:
        The model that refers to the new files, and the new files by name.

    Raises:
        ValueError: An entry is not of the form above.
    """
    parsed = _parsed(model)
    files = {}
    for entries in _external(parsed.graph):
        content = _slice(weights, *_numbers(entries["offset"].value, entries["length"].value))
        entries["offset"].value = b"0"
        for key, entry in entries.items():
            if key.startswith(_PACKED):
                content, entry.value = _with_packed(content, entry.value, weights)
        name = file_name(content)
        entries["location"].value = name.encode()
        files[name] = content
    return parsed.SerializeToString(), files


def file_name(content: bytes) -> str:
    """Return the name of a file of weights with this content."""
    return f"{hashlib.sha256(content).hexdigest()}.weights"


def _with_packed(content: bytes, packed: bytes, weights: bytes) -> tuple[bytes, bytes]:
    """Append packed weights to the content of a tensor's file, each aligned to a page.

    Returns:
        The content, and the entry that says where they are in it.
    """
    kernel, *parts = packed.split(b"|")
    renewed = [kernel]
    for part in parts:
        offset, length, checksum = part.split(b";")
        content += bytes(-len(content) % _PAGE_BYTES)
        renewed.append(b"%d;%b;%b" % (len(content), length, checksum))
        content += _slice(weights, *_numbers(offset, length))
    return content, b"|".join(renewed)


def _slice(weights: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(weights):
        raise ValueError(f"{length} bytes from {offset} on are not in a file of {len(weights)}")
    return weights[offset : offset + length]


def _numbers(offset: bytes, length: bytes) -> tuple[int, int]:
    return int(offset), int(length)


def _external(graph: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  a message's type is made when it is needed
    """Yield the entries, by key, of each tensor with external data, including those of nested graphs."""
    for tensor in graph.initializer:
        if tensor.external_data:
            yield {entry.key.decode(): entry for entry in tensor.external_data}
    for attribute in chain.from_iterable(node.attribute for node in graph.node):
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _external(inner)


def _parsed(model: bytes) -> Any:  # noqa: ANN401
    return message_type("Model").FromString(model)
