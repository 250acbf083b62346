"""A rung made with ONNX's fused LSTM operator, for comparison, with a bundle's own weights, inputs and outputs."""

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench.baselines.fused import IR_VERSION, OPSET, encoder_weights, operands
from service.bundle.manifest import Bundle


def fused_rung(bundle: Bundle, T: int) -> bytes:
    """Return the rung T of "encode", serialized.

    Args:
        bundle: A bundle for generation.
        T: Number of steps.
    """
    weights, cell = encoder_weights(bundle), bundle.manifest.cell
    (L, _, H), V = bundle.manifest.state[0].shape, len(weights["head.bias"])
    constants: dict[str, NDArray[np.generic]] = {
        "embedding": weights["embedding.weight"],
        "head": weights["head.weight"].T.copy(),
        "head_bias": weights["head.bias"],
        "last": np.array(T - 1),
        "axis1": np.array([1]),
    }
    layers = range(int(L))
    for layer in layers:
        constants |= {f"{name}{layer}": values for name, values in operands(weights, layer, cell).items()}
    state = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [L, "N", H]) for name in ("h", "c")}
    shapes: dict[str, list[int | str]] = {
        "logits": ["N", T, V], "h_next": [L, "N", H], "c_next": [L, "N", H], "pending_logits_next": ["N", V]
    }  # fmt: skip
    graph = helper.make_graph(
        list(_nodes(len(layers), int(H))),
        "fused",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["N", T]), *state.values()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def _nodes(L: int, H: int) -> Iterator[onnx.NodeProto]:
    """Yield the nodes. The operator expects time first, and does one layer per node."""
    yield helper.make_node("Transpose", ["x"], ["ids"], perm=[1, 0])
    yield helper.make_node("Gather", ["embedding", "ids"], ["y0"])
    for name in ("h", "c"):
        yield helper.make_node("Split", [name], [f"{name}{i}" for i in range(L)], axis=0, num_outputs=L)
    for i in range(L):
        inputs = [f"y{i}", f"W{i}", f"R{i}", f"B{i}", "", f"h{i}", f"c{i}"]
        yield helper.make_node("LSTM", inputs, [f"all{i}", f"h_next{i}", f"c_next{i}"], hidden_size=H)
        yield helper.make_node("Squeeze", [f"all{i}", "axis1"], [f"y{i + 1}"])
    for name in ("h_next", "c_next"):
        yield helper.make_node("Concat", [f"{name}{i}" for i in range(L)], [name], axis=0)
    yield helper.make_node("Transpose", [f"y{L}"], ["rows"], perm=[1, 0, 2])
    yield helper.make_node("MatMul", ["rows", "head"], ["product"])
    yield helper.make_node("Add", ["product", "head_bias"], ["logits"])
    yield helper.make_node("Gather", ["logits", "last"], ["pending_logits_next"], axis=1)
