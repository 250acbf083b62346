"""An ONNX graph's external weights, in files beside it, and onnxruntime's packed forms of them.

TensorProto.external_data    location, offset, length                              onnx.proto3
                             prepacked_<i>: <kernel and hash>|<offset>;<length>;<checksum>, further ones after bars
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from service.bundle.onnx_messages import message_type

_PACKED = "prepacked_"
_PAGE_BYTES = 4096

Parts = list[memoryview]  # of a file's content, in order


def weight_files(model: bytes) -> set[str]:
    """Return the names of the files that hold a model's weights.

    Raises:
        google.protobuf.message.DecodeError: The bytes are not a model.
    """
    return {entry.value.decode() for entries in _external(_parsed(model).graph) if (entry := entries.get("location"))}


def split_weights(model: bytes, weights: memoryview) -> tuple[bytes, dict[str, Parts]]:
    """Give each tensor of a model its own file, named by its content.

    Args:
        model: A model with all of its external weights in one file.
        weights: The content of that file, of which nothing is copied.

    Returns:
        The model that refers to the new files, and the new files by name.

    Raises:
        ValueError: An entry is not of the form above.
    """
    parsed = _parsed(model)
    files = {}
    for entries in _external(parsed.graph):
        parts = [_slice(weights, *_numbers(entries["offset"].value, entries["length"].value))]
        entries["offset"].value = b"0"
        for key, entry in entries.items():
            if key.startswith(_PACKED):
                entry.value = _append_packed(parts, entry.value, weights)
        name = file_name(parts)
        entries["location"].value = name.encode()
        files[name] = parts
    return parsed.SerializeToString(), files


def file_name(parts: Iterable[memoryview]) -> str:
    """Return the name of a file of weights with this content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"{digest.hexdigest()}.weights"


def _append_packed(parts: Parts, packed: bytes, weights: memoryview) -> bytes:
    """Append packed weights to the content of a tensor's file, each aligned to a page.

    Returns:
        The entry that says where they are in it.
    """
    kernel, *places = packed.split(b"|")
    renewed = [kernel]
    num_bytes = sum(map(len, parts))
    for place in places:
        offset, length, checksum = place.split(b";")
        padding = memoryview(bytes(-num_bytes % _PAGE_BYTES))
        content = _slice(weights, *_numbers(offset, length))
        parts += [padding, content]
        renewed.append(b"%d;%b;%b" % (num_bytes + len(padding), length, checksum))
        num_bytes += len(padding) + len(content)
    return b"|".join(renewed)


def _slice(weights: memoryview, offset: int, length: int) -> memoryview:
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
