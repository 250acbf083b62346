import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.tracing.chain import repeat

N, L, H, K = 4, 2, 3, 5
STOPPED = -9


def make_step() -> ir.Model:
    """result = item * factor; total_next = total + item; layers_next = layers * w + item."""
    nodes = [
        helper.make_node("Mul", ["item", "factor"], ["result"]),
        helper.make_node("Unsqueeze", ["item", "last_axis"], ["column"]),
        helper.make_node("Add", ["total", "column"], ["total_next"]),
        helper.make_node("Mul", ["layers", "w"], ["weighted"]),
        helper.make_node("Add", ["weighted", "column"], ["layers_next"]),
    ]
    shapes: dict[str, list[str | int]] = {"item": ["N"], "factor": ["N"], "total": ["N", H], "layers": [L, "N", H]}
    results: dict[str, list[str | int]] = {"result": ["N"], "total_next": ["N", H], "layers_next": [L, "N", H]}
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in values.items()]
        for values in (shapes, results)
    )
    weights = [
        numpy_helper.from_array(np.array([3]), "w"),
        numpy_helper.from_array(np.array([1]), "last_axis"),
    ]
    graph = helper.make_graph(nodes, "step", inputs, outputs, weights)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def make_chain(steps: int = K) -> ir.Model:
    chain = repeat(make_step(), steps, each="item", carried={"total": 0, "layers": 1}, length="length", frozen=STOPPED)
    for value, name in zip(chain.graph.outputs, ("results", "total_next", "layers_next"), strict=True):
        value.name = name
    return chain


def loop(inputs: dict[str, NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Row by row, step by step, as far as each row goes."""
    total, layers = inputs["total"].copy(), inputs["layers"].copy()
    results = np.full(inputs["items"].shape, STOPPED)
    for n in range(N):
        for k in range(min(inputs["length"][n], inputs["items"].shape[1])):
            item = inputs["items"][n, k]
            results[n, k] = item * inputs["factor"][n]
            total[n] += item
            layers[:, n] = layers[:, n] * 3 + item
    return [results, total, layers]


@pytest.mark.parametrize("steps", [1, K])
def test_a_repeated_step_gives_what_a_loop_gives_to_rows_that_stop_at_different_steps(steps: int) -> None:
    rng = np.random.default_rng(0)
    inputs = {
        "items": rng.integers(1, 9, (N, steps)),
        "factor": rng.integers(1, 9, N),
        "total": rng.integers(100, size=(N, H)),
        "layers": rng.integers(100, size=(L, N, H)),
        "length": np.array([2, 0, K + 40, -1]),
    }
    session = ort.InferenceSession(
        ir.to_proto(make_chain(steps)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(["results", "total_next", "layers_next"], inputs)
    for values, expected in zip(found, loop(inputs), strict=True):
        assert np.array_equal(values, expected)


def test_a_repeated_step_shares_its_weights() -> None:
    chain = make_chain()
    assert list(chain.graph.initializers) == ["w", "last_axis"]
    assert sum(node.op_type == "Mul" and node.inputs[1].name == "w" for node in chain.graph) == K  # type: ignore[union-attr]


def test_the_step_itself_is_left_as_it_was() -> None:
    step = make_step()
    repeat(step, 2, each="item", carried={"total": 0, "layers": 1}, length="length", frozen=STOPPED)
    assert step.graph.num_nodes() == 5
    assert [value.name for value in step.graph.outputs] == ["result", "total_next", "layers_next"]
