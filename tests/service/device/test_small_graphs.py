"""Graphs written as bytes are what the onnx package reads."""

import onnx

from service.bundle.stage import StateSpec
from service.device.row_graphs import fetch_graph, pack_graph
from service.device.small_graphs import FLOAT, INT64, Node, Value, model_bytes

LONG = "n" * 300  # its length takes two bytes
STATE = (
    StateSpec(name="h", dtype="float32", shape=(2, "N", 5), initial=0),
    StateSpec(name="count", dtype="float32", shape=("N",), initial=1),
    StateSpec(name="days", dtype="float32", shape=("N", 3, 7), initial=0),
)


def test_every_part_of_a_graph_arrives() -> None:
    content = model_bytes(
        LONG,
        [Node("Split", ["x", "sizes"], ["a", "b"], {"axis": 1}), Node("Transpose", ["a"], ["y"], {"perm": [1, 0]})],
        [Value("x", FLOAT, ["N", 700])],
        [Value("y", FLOAT, [300, "N"]), Value("b", INT64, [])],
        {"sizes": [300, 400, -1]},
    )
    model = onnx.load_from_string(content)
    split, transpose = model.graph.node
    assert model.graph.name == LONG
    assert (split.op_type, list(split.input), list(split.output)) == ("Split", ["x", "sizes"], ["a", "b"])
    assert onnx.helper.get_attribute_value(split.attribute[0]) == 1
    assert onnx.helper.get_attribute_value(transpose.attribute[0]) == [1, 0]
    assert onnx.numpy_helper.to_array(model.graph.initializer[0]).tolist() == [300, 400, -1]
    x, (y, b) = model.graph.input[0], model.graph.output
    assert [axis.dim_param or axis.dim_value for axis in x.type.tensor_type.shape.dim] == ["N", 700]
    assert [axis.dim_param or axis.dim_value for axis in y.type.tensor_type.shape.dim] == [300, "N"]
    assert b.type.tensor_type.elem_type == onnx.TensorProto.INT64


def test_the_graphs_of_rows_are_valid() -> None:
    for graph in (fetch_graph(STATE), pack_graph(STATE)):
        onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
