"""A real bundle of one rung, T = 1, that sums up what it reads."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from service.bundle.manifest import sha256_of

MANIFEST: dict[str, Any] = {
    "format_version": 1,
    "name": "sum",
    "cell": "sum",
    "task": {"kind": "sentiment", "labels": ["no", "yes"]},
    "stages": [
        {
            "name": "encode",
            "rungs": {"1": "encode-1.onnx"},
            "inputs": [{"name": "x", "dtype": "float32", "shape": ["N", "T"]}],
            "outputs": [],
            "reads": ["total"],
            "writes": ["total"],
        }
    ],
    "state": [{"name": "total", "dtype": "float32", "shape": ["N", 1], "initial": 0.5}],
    "licence": "MIT",
    "command": "by hand",
}


def write_manifest(directory: Path, **changes: object) -> None:
    """Write the manifest with the checksums of the files that are there."""
    files = {path.name: sha256_of(path) for path in directory.iterdir() if path.name != "manifest.json"}
    (directory / "manifest.json").write_text(json.dumps({**MANIFEST, "files": files, **changes}))


def running_sum(size: int) -> onnx.ModelProto:
    """The rung of a size: `total_next = total + x_1 + .. + x_T`."""
    inputs = [helper.make_tensor_value_info(*tensor) for tensor in (_tensor("x", size), _tensor("total", 1))]
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"]),
        helper.make_node("Add", ["sum", "total"], ["total_next"]),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    outputs = [helper.make_tensor_value_info(*_tensor("total_next", 1))]
    graph = helper.make_graph(nodes, "sum", inputs, outputs, [axes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _tensor(name: str, size: int) -> tuple[str, int, list[str | int]]:
    return name, TensorProto.FLOAT, ["N", size]


def write_bundle(directory: Path) -> None:
    """Write the bundle."""
    onnx.save(running_sum(1), directory / "encode-1.onnx")
    (directory / "tokenizer.json").write_text("{}")
    write_manifest(directory)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The bundle's directory."""
    write_bundle(tmp_path)
    return tmp_path
