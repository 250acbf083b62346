import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes import common as passes

from export.tracing.stacks import bypass_stacks

N, H = 2, 3


def make_model(stacked_axis: int = 0, split_axis: int = 0, parts: int = 2) -> ir.Model:
    """Stacks a and b, takes them apart again, and returns the differences of the parts and b."""
    names = [f"part{i}" for i in range(parts)]
    nodes = [
        helper.make_node("Unsqueeze", ["a", "axis"], ["a1"]),
        helper.make_node("Unsqueeze", ["b", "axis"], ["b1"]),
        helper.make_node("Concat", ["a1", "b1"], ["stack"], axis=0),
        helper.make_node("Reshape", ["stack", "flat"], ["rows"]),
        helper.make_node("Split", ["rows"], names, axis=split_axis, num_outputs=parts),
        *(helper.make_node("Identity", [name], [f"out{name}"]) for name in names),
    ]
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [N, H]) for name in ("a", "b")]
    outputs = [helper.make_tensor_value_info(f"out{name}", TensorProto.FLOAT, None) for name in names]
    weights = [
        numpy_helper.from_array(np.array([stacked_axis]), "axis"),
        numpy_helper.from_array(np.array([-1, H]), "flat"),
    ]
    graph = helper.make_graph(nodes, "stacks", rows, outputs, weights)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def run(model: ir.Model) -> list[np.ndarray]:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.arange(2 * N * H, dtype=np.float32).reshape(2, N, H)
    return list(session.run(None, {"a": rows[0], "b": rows[1]}))


def bypassed(model: ir.Model) -> ir.Model:
    bypass_stacks(model)
    passes.RemoveUnusedNodesPass()(model)
    return model


def test_what_is_stacked_and_taken_apart_again_is_handed_on() -> None:
    model = bypassed(make_model())
    assert {node.op_type for node in model.graph} == {"Identity"}
    for found, expected in zip(run(model), run(make_model()), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("other", [{"stacked_axis": 1}, {"split_axis": 1, "parts": 3}, {"parts": 4}])
def test_other_ways_to_take_a_stack_apart_stay(other: dict[str, int]) -> None:
    model = bypassed(make_model(**other))
    assert "Split" in {node.op_type for node in model.graph}
    for found, expected in zip(run(model), run(make_model(**other)), strict=True):
        assert np.array_equal(found, expected)
