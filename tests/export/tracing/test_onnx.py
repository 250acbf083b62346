"""The graphs as files: names, shapes, sizes, and what is in them."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.errors import NotDynamic
from export.stages import StagePlan
from export.tracing.graphs import UnrolledGraph
from export.tracing.onnx import GraphBuilder
from service.bundle.graph import open_graph
from service.bundle.stage import TensorSpec
from tests.export.conftest import Exported
from training.models.streaming import StateTensor, Tensors

GRAPHS = {
    "sentiment": ["encode-1", "encode-3"],
    "generation": ["encode-1", "encode-3", "decode-2", "decode-5"],
    "forecasting": ["encode-1", "forecast-1", "forecast-3"],
    "forecasting-window": ["encode-1", "encode-3", "forecast-1", "forecast-3"],
}


def load(exported: Exported, name: str) -> onnx.ModelProto:
    return onnx.load(exported.bundle.file(f"{name}.onnx"), load_external_data=False)


def count_operators(exported: Exported, name: str) -> Counter[str]:
    return Counter(node.op_type for node in load(exported, name).graph.node)


def count_products(exported: Exported, name: str) -> int:
    operators = count_operators(exported, name)
    return operators["MatMul"] + operators["Gemm"]


def test_every_rung_opens_as_its_manifest_says(exported: Exported) -> None:
    opened = {
        f"{stage.name}-{size}": open_graph(exported.bundle, stage, size)
        for stage in exported.bundle.manifest.stages
        for size in stage.rungs
    }
    assert list(opened) == GRAPHS[exported.checkpoint.task]
    for session in opened.values():
        for value in (*session.get_inputs(), *session.get_outputs()):
            assert "N" in value.shape, value.name


def test_graphs_are_valid_onnx(exported: Exported) -> None:
    for name in GRAPHS[exported.checkpoint.task]:
        onnx.checker.check_model(exported.bundle.file(f"{name}.onnx"), full_check=True)


def test_a_file_says_which_rung_it_is(generation: Exported) -> None:
    model = load(generation, "decode-5")
    properties = {prop.key: prop.value for prop in model.metadata_props}
    assert properties == {"task": "generation", "stage": "decode", "rung": "5"}
    assert model.doc_string == "task generation, stage decode, rung 5"
    assert (model.graph.name, model.producer_name) == ("decode-5", "unrolled")


def test_weights_have_the_names_of_the_models_parts(generation: Exported) -> None:
    parameters = {name for name, _ in generation.model.named_parameters()}
    weights = {
        tensor.name.removesuffix(".float16")
        for tensor in load(generation, "encode-3").graph.initializer
        if tensor.data_type in {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT} and tensor.dims
    }
    assert weights == parameters


def test_nodes_are_named_once_and_carry_no_traces_of_the_tracer(generation: Exported) -> None:
    graph = load(generation, "encode-3").graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    assert "" not in names
    assert not any(node.metadata_props or node.doc_string for node in graph.node)


def test_the_input_projection_of_all_steps_is_one_product(sentiment: Exported, generation: Exported) -> None:
    T, L, head = 3, 2, 1
    assert count_products(sentiment, "encode-3") == 1 + T + head
    assert count_products(generation, "encode-3") == L * (1 + T) + head


def test_a_step_of_lstm_is_a_dozen_nodes(generation: Exported) -> None:
    one, three = (load(generation, f"encode-{T}").graph.node for T in (1, 3))
    L = 2
    assert (len(three) - len(one)) / 2 <= 12 * L


def test_a_decoded_token_costs_as_many_nodes_as_two_layers_and_a_sampler(generation: Exported) -> None:
    two, five = (load(generation, f"decode-{K}").graph.node for K in (2, 5))
    L, sampler = 2, 26
    assert (len(five) - len(two)) / 3 <= 14 * L + sampler
    # Only the state that leaves is one tensor for all layers.
    assert count_operators(generation, "decode-5")["Concat"] == count_operators(generation, "decode-2")["Concat"]


def test_no_graph_holds_the_layout_of_weights_or_shapes(exported: Exported) -> None:
    for name in GRAPHS[exported.checkpoint.task]:
        operators = count_operators(exported, name)
        assert not operators["Constant"], name
        assert not operators["Identity"], name
        assert not operators["SequenceAt"], name


class FixedRows(nn.Module):
    """A model that asks for the number of its rows in a way that tracing cannot follow."""

    state = (StateTensor("h", "float32", ("N", 7)),)

    def initial_state(self, N: int) -> Tensors:
        """Zeros."""
        return {"h": self.state[0].allocate(N)}

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Adds the same numbers to each row."""
        return {}, {"h": state["h"] + torch.ones(7).repeat(len(x), 1)}


def test_a_model_that_fixes_the_number_of_rows_is_refused() -> None:
    stage = StagePlan(
        name="encode",
        sizes=(1,),
        inputs=(TensorSpec(name="x", dtype="int64", shape=("N", "T")),),
        outputs=(),
        reads=("h",),
        writes=("h",),
        build=lambda _: UnrolledGraph(FixedRows(), ("h",), ()),
        draw=lambda rng, N, T: {"x": rng.integers(5, size=(N, T))},
    )
    state: dict[str, Any] = {"h": np.zeros((2, 7), dtype=np.float32)}
    with pytest.raises(NotDynamic, match=r"encode 1: .*len"):
        GraphBuilder(state).build(stage, 1)
