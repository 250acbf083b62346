"""Weights in files beside a graph, each tensor in one of its own."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from service.bundle.external_weights import file_name, split_weights, weight_files

FIRST, SECOND = np.arange(6, dtype=np.float32), np.arange(6, 10, dtype=np.float32)
PACKED = bytes(range(48))
WEIGHTS = b"before" + FIRST.tobytes() + PACKED + SECOND.tobytes() + b"after"
AT_FIRST, AT_PACKED, AT_SECOND = 6, 30, 78


def tensor(name: str, values: np.ndarray, **entries: str) -> TensorProto:
    """A tensor in the file `weights`."""
    made = numpy_helper.from_array(values, name)
    made.ClearField("raw_data")
    made.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights", "length": str(values.nbytes), **entries}.items():
        made.external_data.add(key=key, value=value)
    return made


def model(packed: str = f"Gemm+1|{AT_PACKED};16;7|{AT_PACKED + 16};32;8") -> bytes:
    """A sum of two tensors, the first of which has packed weights, and a small one that is not in a file."""
    graph = helper.make_graph(
        [helper.make_node("Sum", ["first", "small"], ["a"]), helper.make_node("Identity", ["second"], ["b"])],
        "sums",
        [],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "ab"],
        [
            tensor("first", FIRST, offset=str(AT_FIRST), prepacked_0=packed),
            tensor("second", SECOND, offset=str(AT_SECOND)),
            numpy_helper.from_array(np.float32([1]), "small"),
        ],
    )
    made: bytes = helper.make_model(graph, producer_name="somebody").SerializeToString()
    return made


def split(content: bytes, weights: bytes = WEIGHTS) -> tuple[bytes, dict[str, bytes]]:
    parted, files = split_weights(content, memoryview(weights))
    return parted, {name: b"".join(parts) for name, parts in files.items()}


def named(content: bytes) -> str:
    return file_name([memoryview(content)])


def test_each_tensor_gets_a_file_that_is_named_by_its_content(tmp_path: Path) -> None:
    parted, files = split(model())
    assert {named(content) for content in files.values()} == set(files) == weight_files(parted)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "parted.onnx").write_bytes(parted)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # entries of onnxruntime's own
        first, second, small = onnx.load(tmp_path / "parted.onnx").graph.initializer
    assert numpy_helper.to_array(first).tolist() == FIRST.tolist()
    assert numpy_helper.to_array(second).tolist() == SECOND.tolist()
    assert numpy_helper.to_array(small).tolist() == [1]


def test_packed_weights_are_in_their_tensors_file_on_pages_of_their_own() -> None:
    parted, files = split(model())
    (first, _, _) = onnx.load_model_from_string(parted).graph.initializer
    entries = {entry.key: entry.value for entry in first.external_data}
    content = files[entries["location"]]
    assert entries["prepacked_0"] == "Gemm+1|4096;16;7|8192;32;8"
    assert (content[4096:4112], content[8192:]) == (PACKED[:16], PACKED[16:])


def test_all_else_stays_as_it_is() -> None:
    parted, _ = split(model())
    before, after = onnx.load_model_from_string(model()), onnx.load_model_from_string(parted)
    for each in (*before.graph.initializer, *after.graph.initializer):
        each.ClearField("external_data")
    assert before == after


def test_tensors_of_graphs_within_the_graph_get_files_too() -> None:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["second"], ["b"])],
        "inner",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
        [tensor("second", SECOND, offset=str(AT_SECOND))],
    )
    node = helper.make_node("If", ["condition"], ["b"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([node], "outer", [], inner.output)
    parted, files = split(helper.make_model(outer).SerializeToString())
    assert files == {named(SECOND.tobytes()): SECOND.tobytes()}
    assert weight_files(parted) == set(files)


def test_a_model_without_files_has_none() -> None:
    graph = helper.make_graph([], "none", [], [])
    content = helper.make_model(graph).SerializeToString()
    parted, files = split(content, b"")
    assert (onnx.load_model_from_string(parted), files) == (onnx.load_model_from_string(content), {})
    assert weight_files(content) == set()


@pytest.mark.parametrize("packed", [f"Gemm+1|{AT_PACKED};16", "Gemm+1|x;16;7", f"Gemm+1|{AT_PACKED};1000;7"])
def test_entries_of_another_form_are_refused(packed: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal|are not in a file"):
        split(model(packed))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(DecodeError):
        weight_files(b"no model")
