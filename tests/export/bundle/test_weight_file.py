"""How weights are stored."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.bundle.weight_file import ALIGNMENT, WeightFile, save_graph
from tests.export.conftest import Exported

Weights = Mapping[str, NDArray[np.float32]]
EXACT = np.arange(1024, dtype=np.float32).reshape(32, 32)
INEXACT = np.full((32, 32), 0.1, dtype=np.float32)


def make_graph(weights: Weights) -> ir.Model:
    """y = x plus all weights."""
    nodes = [helper.make_node("Sum", ["x", *weights], ["y"])]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [32, 32]) for name in "xy"]
    initialisers = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "sum", tensors[:1], tensors[1:], initialisers)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def save(directory: Path, **graphs: Weights) -> bytes:
    """Save some graphs with common weights; returns the weights' file."""
    weights = WeightFile("weights.bin")
    for name, initialisers in graphs.items():
        save_graph(make_graph(initialisers), directory / f"{name}.onnx", weights, {"rung": name})
    weights.write(directory)
    return (directory / "weights.bin").read_bytes()


def stored(directory: Path, name: str) -> dict[str, tuple[int, int]]:
    """Data type and offset of each initialiser; -1 for those inside the graph's own file."""
    model = onnx.load(directory / f"{name}.onnx", load_external_data=False)
    return {tensor.name: (tensor.data_type, _offset(tensor)) for tensor in model.graph.initializer}


def _offset(tensor: TensorProto) -> int:
    return int({entry.key: entry.value for entry in tensor.external_data}.get("offset", -1))


def run(directory: Path, name: str) -> NDArray[np.float32]:
    session = ort.InferenceSession(directory / f"{name}.onnx", providers=["CPUExecutionProvider"])
    y: NDArray[np.float32] = session.run(None, {"x": np.zeros((32, 32), dtype=np.float32)})[0]
    return y


def test_equal_weights_of_different_graphs_are_stored_once(tmp_path: Path) -> None:
    content = save(tmp_path, short={"w": EXACT}, long={"other_name": EXACT})
    assert len(content) == 2 * EXACT.size
    assert stored(tmp_path, "short")["w.float16"] == stored(tmp_path, "long")["other_name.float16"]


def test_weights_that_float16_holds_exactly_are_stored_so_and_used_as_float32(tmp_path: Path) -> None:
    save(tmp_path, sum={"w": EXACT})
    assert stored(tmp_path, "sum") == {"w.float16": (TensorProto.FLOAT16, 0)}
    assert np.array_equal(run(tmp_path, "sum"), EXACT)


@pytest.mark.parametrize("values", [INEXACT, INEXACT * 1e6], ids=["rounded", "overflowing"])
def test_weights_that_float16_would_change_stay_float32(tmp_path: Path, values: NDArray[np.float32]) -> None:
    save(tmp_path, sum={"w": values})
    assert stored(tmp_path, "sum") == {"w": (TensorProto.FLOAT, 0)}
    assert np.array_equal(run(tmp_path, "sum"), values)


def test_weights_begin_at_aligned_offsets(tmp_path: Path) -> None:
    odd = np.arange(31 * 17, dtype=np.float32).reshape(31, 17)  # 1054 bytes as float16
    weights = WeightFile("weights.bin")
    assert weights.place(odd.astype(np.float16).tobytes()) == 0
    assert weights.place(b"another") == 1088
    save(tmp_path, sum={"b": INEXACT, "c": EXACT})
    offsets = [offset for _, offset in stored(tmp_path, "sum").values()]
    assert len(set(offsets)) == 2
    assert all(offset % ALIGNMENT == 0 for offset in offsets)


def test_small_tensors_stay_in_the_graph(tmp_path: Path) -> None:
    content = save(tmp_path, sum={"bias": np.ones(32, dtype=np.float32)})
    assert content == b""
    assert stored(tmp_path, "sum") == {"bias": (TensorProto.FLOAT, -1)}


def test_all_rungs_of_a_bundle_share_one_file_of_float16_matrices(generation: Exported) -> None:
    directory = generation.bundle.path
    matrices = [stored(directory, name) for name in ("encode-1", "encode-3", "decode-2", "decode-5")]
    large = [{name: place for name, place in found.items() if place[1] >= 0} for found in matrices]
    assert large[0] == large[1] == large[2] == large[3]
    assert {data_type for data_type, _ in large[0].values()} == {TensorProto.FLOAT16}
    assert [path.name for path in directory.glob("*.bin")] == ["weights.bin"]
