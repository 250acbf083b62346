import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from export.chain import repeat


def make_step() -> ir.Model:
    """result = item * factor + total w; total_next = total + item."""
    nodes = [
        helper.make_node("Mul", ["item", "factor"], ["scaled"]),
        helper.make_node("Mul", ["total", "w"], ["weighted"]),
        helper.make_node("Add", ["scaled", "weighted"], ["result"]),
        helper.make_node("Add", ["total", "item"], ["total_next"]),
    ]
    rows = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"])
        for name in ("item", "factor", "total", "result", "total_next")
    }
    graph = helper.make_graph(
        nodes,
        "step",
        [rows["item"], rows["factor"], rows["total"]],
        [rows["result"], rows["total_next"]],
        [numpy_helper.from_array(np.array([0.5], dtype=np.float32), "w")],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def test_a_repeated_step_gives_what_a_loop_gives() -> None:
    chain = repeat(make_step(), 3, each="item", carried=("total",))
    for value, name in zip(chain.graph.outputs, ("results", "total_next"), strict=True):
        value.name = name
    session = ort.InferenceSession(ir.to_proto(chain).SerializeToString(), providers=["CPUExecutionProvider"])
    items = np.array([[1, 2, 4], [8, 16, 32]], dtype=np.float32)
    factor, total = np.array([3, 5], dtype=np.float32), np.array([64, 128], dtype=np.float32)
    results, total_next = session.run(["results", "total_next"], {"item": items, "factor": factor, "total": total})
    expected = []
    for item in items.T:
        expected.append(item * factor + total * np.float32(0.5))
        total = total + item
    assert np.array_equal(results, np.stack(expected, axis=1))
    assert np.array_equal(total_next, total)


def test_a_repeated_step_shares_its_weights() -> None:
    chain = repeat(make_step(), 4, each="item", carried=("total",))
    assert list(chain.graph.initializers) == ["w"]
    assert sum(node.op_type == "Mul" for node in chain.graph) == 2 * 4


def test_the_step_itself_is_left_as_it_was() -> None:
    step = make_step()
    repeat(step, 2, each="item", carried=("total",))
    assert step.graph.num_nodes() == 4
    assert [value.name for value in step.graph.outputs] == ["result", "total_next"]
