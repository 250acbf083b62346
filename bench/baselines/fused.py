"""A bundle's model as one graph of ONNX's fused LSTM or GRU operators, with the bundle's own weights.

It reads whole texts, padded to the longest of their batch, which is how recurrent models are usually served. It returns
the logits after the last item, which equal those of the unrolled rungs up to rounding.

    x (T, N) ─► embedding ─► LSTM or GRU, layer after layer ─► last h, or max | mean | last h of the text ─► head
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.bundle.manifest import Bundle, read_bundle
from service.bundle.session_options import session_options

OPSET, IR_VERSION = 20, 9
# Columns of our gates in ONNX's order: i f o g becomes i o f g, r z n becomes z r n.
GATES = {"lstm": (0, 2, 1, 3), "gru": (1, 0, 2)}
HALF = ".float16"

Weights = Mapping[str, NDArray[np.float32]]


class FusedModel:
    """Runs padded batches of whole texts.

    Args:
        path: Directory of a bundle whose encoder is an LSTM or a GRU.
    """

    def __init__(self, path: Path) -> None:
        model = fused_graph(read_bundle(path))
        self._session = ort.InferenceSession(
            model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
        )

    def logits(self, texts: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Classify N texts, int64 (T,) each, of lengths from 1 on.

        Returns:
            Logits after the last item of each text, float32 (N, V).
        """
        lengths = np.array([len(text) for text in texts], dtype=np.int32)
        x = np.zeros((lengths.max(), len(texts)), dtype=np.int64)
        for row, text in enumerate(texts):
            x[: len(text), row] = text
        (logits,) = self._session.run(["logits"], {"x": x, "lengths": lengths})
        result: NDArray[np.float32] = logits
        return result


def fused_graph(bundle: Bundle) -> onnx.ModelProto:
    """Return a bundle's encoder as a model of fused operators."""
    cell = bundle.manifest.cell
    weights = encoder_weights(bundle)
    num_layers = len([name for name in weights if re.fullmatch(r"layers\.\d+\.Wx", name)])
    layers = [operands(weights, layer, cell) for layer in range(num_layers)]
    is_pooled = any(tensor.name == "pool_max" for tensor in bundle.manifest.state)
    nodes = [
        helper.make_node("Gather", ["embedding.weight", "x"], ["y0"]),
        *(node for layer, own in enumerate(layers) for node in _layer_nodes(layer, cell, own["R"].shape[2])),
        *(_pooled_nodes(num_layers) if is_pooled else [_last_node(num_layers, "features")]),
        helper.make_node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], transB=1),
    ]
    constants = {name: weights[name] for name in ("embedding.weight", "head.weight", "head.bias")}
    recurrent = {f"{name}{layer}": values for layer, own in enumerate(layers) for name, values in own.items()}
    numbers = {"zero": np.array(0), "one": np.array(1), "axis0": np.array([0]), "axis1": np.array([1])}
    pads = {"axis2": np.array([2]), "lowest": np.array(-1, dtype=np.float32)}
    graph = helper.make_graph(
        nodes,
        "fused",
        [
            helper.make_tensor_value_info("x", TensorProto.INT64, ["T", "N"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["N"]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "V"])],
        [numpy_helper.from_array(v, name) for name, v in {**constants, **recurrent, **numbers, **pads}.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def encoder_weights(bundle: Bundle) -> Weights:
    """Return the encoder's weights by their names in the model, float32."""
    stage = bundle.manifest.stage("encode")
    model = onnx.load(bundle.file(stage.rungs[min(stage.rungs)]))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {name.removesuffix(HALF): values.astype(np.float32) for name, values in arrays.items() if "." in name}


def operands(weights: Weights, layer: int, cell: str) -> dict[str, NDArray[np.float32]]:
    """Return W, R and B of ONNX's operator for a layer of an LSTM or GRU."""
    Wx, Wh, b = (weights[f"layers.{layer}.{name}"] for name in ("Wx", "Wh", "b"))
    hidden_b = np.zeros_like(b)
    if cell == "gru":
        hidden_b[-Wh.shape[0] :] = weights[f"layers.{layer}.bhn"]
    B = np.concatenate([_reordered(b, cell), _reordered(hidden_b, cell)])
    return {"W": _reordered(Wx, cell).T[None], "R": _reordered(Wh, cell).T[None], "B": B[None]}


def _reordered(gates: NDArray[np.float32], cell: str) -> NDArray[np.float32]:
    parts = np.split(gates, len(GATES[cell]), axis=-1)
    return np.concatenate([parts[gate] for gate in GATES[cell]], axis=-1)


def _layer_nodes(layer: int, cell: str, hidden_size: int) -> list[onnx.NodeProto]:
    inputs = [f"y{layer}", f"W{layer}", f"R{layer}", f"B{layer}", "lengths"]
    outputs = [f"all{layer}", f"last{layer}"]
    if cell == "gru":
        recurrent = helper.make_node("GRU", inputs, outputs, hidden_size=hidden_size, linear_before_reset=1)
    else:
        recurrent = helper.make_node("LSTM", inputs, outputs, hidden_size=hidden_size)
    return [recurrent, helper.make_node("Squeeze", [outputs[0], "axis1"], [f"y{layer + 1}"])]


def _last_node(num_layers: int, name: str) -> onnx.NodeProto:
    return helper.make_node("Squeeze", [f"last{num_layers - 1}", "axis0"], [name])


def _pooled_nodes(num_layers: int) -> list[onnx.NodeProto]:
    """Pool the hidden states to maximum, mean and last. The operator returns zeros beyond a text's end."""
    y = f"y{num_layers}"
    return [
        helper.make_node("Shape", ["x"], ["T"], start=0, end=1),
        helper.make_node("Squeeze", ["T", "axis0"], ["steps"]),
        helper.make_node("Range", ["zero", "steps", "one"], ["times"]),
        helper.make_node("Unsqueeze", ["times", "axis1"], ["column"]),
        helper.make_node("Cast", ["lengths"], ["ends"], to=TensorProto.INT64),
        helper.make_node("Less", ["column", "ends"], ["within"]),
        helper.make_node("Unsqueeze", ["within", "axis2"], ["mask"]),
        helper.make_node("Where", ["mask", y, "lowest"], ["masked"]),
        helper.make_node("ReduceMax", ["masked", "axis0"], ["maximum"], keepdims=0),
        helper.make_node("ReduceSum", [y, "axis0"], ["total"], keepdims=0),
        helper.make_node("Cast", ["lengths"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counts", "axis1"], ["divisors"]),
        helper.make_node("Div", ["total", "divisors"], ["mean"]),
        _last_node(num_layers, "last"),
        helper.make_node("Concat", ["maximum", "mean", "last"], ["features"], axis=1),
    ]
