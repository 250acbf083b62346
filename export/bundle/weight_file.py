"""Graphs on disk: all rungs of a bundle share one file of weights, whose matrices are stored as float16.

A float16 initialiser is followed by a Cast to float32, which onnxruntime folds when it loads the graph, so calls are as
fast as with float32. A tensor is stored as float16 only if that loses nothing.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

# Smaller tensors stay inside the graph's own file.
MIN_EXTERNAL_BYTES = 1024
ALIGNMENT = 64


class WeightFile:
    """Content-addressed tensors: equal ones are stored once, whichever graph they come from.

    Args:
        name: Name of the file, which is beside the graphs.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._content = bytearray()
        self._offsets: dict[bytes, int] = {}

    def place(self, content: bytes) -> int:
        """Store bytes, unless they are already stored. Returns their offset in the file."""
        key = hashlib.sha256(content).digest()
        if key not in self._offsets:
            self._content.extend(bytes(-len(self._content) % ALIGNMENT))
            self._offsets[key] = len(self._content)
            self._content.extend(content)
        return self._offsets[key]

    def write(self, directory: Path) -> None:
        """Write the file."""
        (directory / self.name).write_bytes(self._content)


def save_graph(model: ir.Model, path: Path, weights: WeightFile, properties: dict[str, str]) -> None:
    """Write a graph, and add its weights to the shared file.

    Args:
        model: The graph.
        path: File to write the graph to.
        weights: The bundle's weight file, which is written after the last graph.
        properties: Metadata of the graph, for people who find it outside its bundle.
    """
    save_proto(ir.to_proto(model), path, weights, properties)


def save_proto(proto: onnx.ModelProto, path: Path, weights: WeightFile, properties: dict[str, str]) -> None:
    """Write a graph that is a protobuf message; see `save_graph`."""
    proto.producer_name = "unrolled"
    proto.graph.name = path.stem
    proto.doc_string = ", ".join(f"{key} {value}" for key, value in properties.items())
    helper.set_model_props(proto, properties)
    _store_as_float16(proto.graph)
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(_with_raw_data(tensor))
        if len(tensor.raw_data) >= MIN_EXTERNAL_BYTES:
            offset = weights.place(tensor.raw_data)
            set_external_data(tensor, weights.name, offset=offset, length=len(tensor.raw_data))
            tensor.ClearField("raw_data")
    onnx.save(proto, path)


def _store_as_float16(graph: onnx.GraphProto) -> None:
    casts = list(_halve(graph))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _halve(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Replace initialisers by float16 ones with another name. Yields casts to float32 that have the old names."""
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.nbytes < MIN_EXTERNAL_BYTES or not _is_exact(values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.float16"))
        yield helper.make_node("Cast", [tensor.name], [name], f"{name}.cast", to=TensorProto.FLOAT)


def _is_exact(values: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore"):
        return np.array_equal(values.astype(np.float16).astype(np.float32), values)


def _with_raw_data(tensor: TensorProto) -> TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)
