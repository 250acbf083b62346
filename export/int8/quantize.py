"""Static int8 quantization of the matrix products of one graph. Independent of files and bundles.

    x W + b   becomes   Mul(Cast(MatMulInteger(QuantizeLinear(x), Wq)), s) + b

Only inputs of products are quantized, and only if their range is known by construction: a hidden state is between -1
and 1, since it comes from tanh and gates, and an embedded word is bounded by the largest number in its table. So scales
are constants that do not depend on the batch, and integer sums are exact: a row has the same bits in any batch. Cell
states, pools, readings and everything element-wise stay float32.

Inputs are uint8 with zero point 128. Weights are int8 of 7 bits (-64 to 64) with one scale per column. Processors
without VNNI add products of uint8 and int8 in pairs to int16, which saturates from 2^15 on: 2 * 255 * 64 = 32,640 does
not. So all processors give the same sums, and a bundle does not depend on the processor.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

HIDDEN = 1.0  # the largest hidden state
TABLE = "embedding.weight"
# By task and cell: patterns of weights' names, and the largest absolute input of their products, or the name of the
# table that holds it.
RANGES: dict[tuple[str, str], dict[str, float | str]] = {
    ("generation", "lstm"): {"layers.*.Wh": HIDDEN, "layers.[1-9].Wx": HIDDEN, "head.weight": HIDDEN},
    ("sentiment", "gru"): {"layers.*.Wh": HIDDEN, "layers.[1-9].Wx": HIDDEN, "layers.0.Wx": TABLE},
    ("forecasting", "gru"): {"cell.Wh": HIDDEN, "spread.weight": HIDDEN},
}
LARGEST_INPUT, ZERO = 127, 128
LARGEST_WEIGHT = 64
PRODUCTS = ("MatMul", "Gemm")

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Quantized:
    """A quantized matrix: each column is integers times a scale.

    Args:
        values: int8 (C, H).
        scales: float32 (H,).
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float32]


def quantized(W: Weights) -> Quantized:
    """Quantize W, float32 (C, H), to the nearest int8 matrix. A column of zeros stays zero."""
    scales = np.abs(W).max(axis=0) / np.float32(LARGEST_WEIGHT)
    values = np.rint(W / np.where(scales > 0, scales, 1))
    return Quantized(values.astype(np.int8), scales.astype(np.float32))


def quantize_graph(model: onnx.ModelProto, ranges: Mapping[str, float | str]) -> int:
    """Rewrite the products of a graph, in place.

    Args:
        model: The graph, with its weights.
        ranges: The entry of RANGES for its task and cell.

    Returns:
        The number of products that were rewritten.
    """
    weights = Constants(model.graph)
    rewriter = _Rewriter(weights, {name: _range(weights, name, ranges) for name in weights.names})
    nodes = [new for node in model.graph.node for new in rewriter.rewrite(node)]
    del model.graph.node[:]
    model.graph.node.extend(_needed(nodes, {value.name for value in model.graph.output}))
    model.graph.initializer.extend(rewriter.constants.values())
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return rewriter.num_rewritten


class Constants:
    """Values of a graph that depend on no input: weights, and casts and transposes of them.

    Args:
        graph: The graph, whose weights are named as in the model. A cast or transpose counts as the same weight.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._values: dict[str, tuple[str, NDArray[np.generic]]] = {}
        for tensor in graph.initializer:
            self._values[tensor.name] = (tensor.name, numpy_helper.to_array(tensor))
        for node in graph.node:
            if node.op_type in {"Cast", "Transpose"} and node.input[0] in self._values:
                name, values = self._values[node.input[0]]
                moved = values.T if node.op_type == "Transpose" else values
                self._values[node.output[0]] = (name, moved)

    @property
    def names(self) -> set[str]:
        """The names of all weights."""
        return {name.removesuffix(".float16") for name, _ in self._values.values()}

    def __contains__(self, value: str) -> bool:
        return value in self._values

    def name(self, value: str) -> str:
        """Return the name of the weight that a value comes from."""
        return self._values[value][0].removesuffix(".float16")

    def matrix(self, value: str) -> Weights:
        """Return a weight as float32."""
        return self._values[value][1].astype(np.float32)


class _Rewriter:
    def __init__(self, weights: Constants, ranges: Mapping[str, float | None]) -> None:
        self._weights = weights
        self._ranges = ranges
        self._inputs: dict[tuple[str, float], str] = {}
        self.constants: dict[str, TensorProto] = {}
        self.num_rewritten = 0

    def rewrite(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield the nodes that replace a node: the node itself, unless it is a product with known input range."""
        if node.op_type not in PRODUCTS or node.input[1] not in self._weights or node.input[0] in self._weights:
            yield node
            return
        largest = self._ranges[self._weights.name(node.input[1])]
        if largest is None:
            yield node
            return
        self.num_rewritten += 1
        yield from self._product(node, largest)

    def _product(self, node: onnx.NodeProto, largest: float) -> Iterator[onnx.NodeProto]:
        scale = np.float32(largest / LARGEST_INPUT)
        input_name = self._inputs.get((node.input[0], largest))
        if input_name is None:
            input_name = self._inputs[node.input[0], largest] = f"{node.input[0]}.uint8"
            arguments = [node.input[0], self._add(f"scale.{largest:g}", scale), self._zero()]
            yield helper.make_node("QuantizeLinear", arguments, [input_name], f"{node.name}.input")
        name = self._weights.name(node.input[1])
        W = self._weights.matrix(node.input[1])
        matrix = quantized(W.T if _is_transposed(node) else W)
        sums, floats, output = f"{node.name}.sums", f"{node.name}.floats", node.output[0]
        product = output if len(node.input) < 3 else f"{node.name}.product"
        arguments = [input_name, self._add(f"{name}.int8", matrix.values), self._zero()]
        yield helper.make_node("MatMulInteger", arguments, [sums], f"{node.name}.integers")
        yield helper.make_node("Cast", [sums], [floats], f"{node.name}.cast", to=TensorProto.FLOAT)
        scales = self._add(f"{name}.scales", matrix.scales * scale)
        yield helper.make_node("Mul", [floats, scales], [product], f"{node.name}.scale")
        if product != output:
            yield helper.make_node("Add", [product, node.input[2]], [output], f"{node.name}.bias")

    def _zero(self) -> str:
        return self._add("zero.uint8", np.uint8(ZERO))

    def _add(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(values), name))
        return name


def _range(weights: Constants, name: str, ranges: Mapping[str, float | str]) -> float | None:
    """Return the largest absolute input of the product with a weight, or None if it is unknown."""
    found = next((largest for pattern, largest in ranges.items() if fnmatch(name, pattern)), None)
    return float(np.abs(weights.matrix(_value(weights, found))).max()) if isinstance(found, str) else found


def _value(weights: Constants, name: str) -> str:
    return name if name in weights else f"{name}.float16"


def _is_transposed(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def _needed(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs depend on, in order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]
