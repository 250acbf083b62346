"""Products become integer products where the range of their input is known, and nowhere else."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.int8.quantize import LARGEST_INPUT, LARGEST_WEIGHT, quantize_graph, quantized

N, C, H = 3, 5, 7
rng = np.random.default_rng(0)
W = rng.normal(size=(C, H)).astype(np.float32)
OTHER = rng.normal(size=(C, H)).astype(np.float32)
BIAS = rng.normal(size=H).astype(np.float32)


def make_model(matrix: NDArray[np.float32] = W) -> onnx.ModelProto:
    """y = x matrix, z = x other^T^T + b."""
    other = OTHER if matrix is W else matrix
    nodes = [
        helper.make_node("Cast", ["layers.0.Wh.float16"], ["layers.0.Wh"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "layers.0.Wh"], ["y"], "product"),
        helper.make_node("Gemm", ["x", "other", "b"], ["z"], "affine", transB=1),
    ]
    x, y, z = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
        for name, width in (("x", len(matrix)), ("y", H), ("z", H))
    )
    weights = {"layers.0.Wh.float16": matrix.astype(np.float16), "other": other.T.copy(), "b": BIAS}
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "products", [x], [y, z], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, x: NDArray[np.float32]) -> list[NDArray[Any]]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(["y", "z"], {"x": x}))


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def simulate(x: NDArray[np.float32], matrix: NDArray[np.float32], largest: float) -> NDArray[np.float32]:
    """The same product with the integers written out."""
    scale = np.float32(largest / LARGEST_INPUT)
    integers = np.clip(np.rint(x / scale), -128, 127).astype(np.int64)
    whole = quantized(matrix)
    return (integers @ whole.values.astype(np.int64)).astype(np.float32) * (whole.scales * scale)


def test_a_product_in_range_is_that_of_the_nearest_integers() -> None:
    model = make_model()
    assert quantize_graph(model, {"layers.*.Wh": 1.0, "other": 1.0}) == 2
    x = rng.uniform(-1, 1, (N, C)).astype(np.float32)
    y, z = run(model, x)
    assert np.array_equal(y, simulate(x, W.astype(np.float16).astype(np.float32), 1.0))
    assert np.array_equal(z, simulate(x, OTHER, 1.0) + BIAS)
    assert np.abs(y - x @ W).max() < 0.05 * np.abs(x @ W).max()


def test_products_without_a_known_range_stay() -> None:
    model = make_model()
    x = rng.normal(size=(N, C)).astype(np.float32)
    expected = run(model, x)
    assert quantize_graph(model, {"layers.[1-9].Wh": 1.0}) == 0
    assert not operators(model)["MatMulInteger"]
    assert all(np.array_equal(a, b) for a, b in zip(run(model, x), expected, strict=True))


def test_a_range_may_be_the_largest_number_of_a_table() -> None:
    model = make_model()
    quantize_graph(model, {"layers.0.Wh": "other"})
    x = rng.uniform(-1, 1, (N, C)).astype(np.float32)
    largest = float(np.abs(OTHER).max())
    assert np.array_equal(run(model, x)[0], simulate(x, W.astype(np.float16).astype(np.float32), largest))


def test_an_input_beyond_its_range_is_clipped() -> None:
    model = make_model()
    quantize_graph(model, {"layers.0.Wh": 1.0})
    far, near = (np.full((N, C), value, dtype=np.float32) for value in (-50, -128 / 127))
    assert np.array_equal(run(model, far)[0], run(model, near)[0])


def test_an_input_of_two_products_is_quantized_once() -> None:
    model = make_model()
    quantize_graph(model, {"layers.0.Wh": 1.0, "other": 1.0})
    assert operators(model)["QuantizeLinear"] == 1


def test_weights_that_are_not_needed_any_more_are_dropped() -> None:
    model = make_model()
    quantize_graph(model, {"layers.0.Wh": 1.0})
    assert "layers.0.Wh.float16" not in {tensor.name for tensor in model.graph.initializer}
    assert not operators(model)["Cast"] - 1  # the one behind the integers
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("factor", [1e-3, 1.0, 100.0])
def test_columns_have_scales_of_their_own(factor: float) -> None:
    matrix = W.copy()
    matrix[:, 2] *= factor
    whole = quantized(matrix)
    assert (np.abs(whole.values).max(axis=0) == LARGEST_WEIGHT).all()
    assert (np.abs(whole.values * whole.scales - matrix) <= whole.scales / 2 * 1.0001).all()


def test_a_column_of_zeros_stays_one() -> None:
    matrix = W.copy()
    matrix[:, 4] = 0
    whole = quantized(matrix)
    assert not whole.values[:, 4].any()
    assert np.isfinite(whole.scales).all()


def test_two_products_of_the_largest_numbers_fit_into_int16() -> None:
    assert 2 * 255 * LARGEST_WEIGHT < 2**15


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("rows", [1, 3, 16])
def test_the_largest_sums_are_exact_on_this_processor(rows: int, sign: int) -> None:
    """With weights to 127 they are not where VNNI is missing: pairs of products saturate."""
    wide = 256
    matrix = np.full((wide, H), sign, dtype=np.float32)
    model = make_model(matrix)
    quantize_graph(model, {"layers.0.Wh": 1.0})
    x = np.ones((rows, wide), dtype=np.float32)
    assert np.array_equal(run(model, x)[0], simulate(x, matrix, 1.0))
