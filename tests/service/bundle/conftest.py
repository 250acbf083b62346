"""A real bundle of one rung: `total_next = total + x`, T = 1."""

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


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The bundle's directory."""
    tensors = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1]) for name in ("x", "total")}
    total_next = helper.make_tensor_value_info("total_next", TensorProto.FLOAT, ["N", 1])
    node = helper.make_node("Add", ["x", "total"], ["total_next"])
    graph = helper.make_graph([node], "sum", list(tensors.values()), [total_next])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "encode-1.onnx")
    (tmp_path / "tokenizer.json").write_text("{}")
    write_manifest(tmp_path)
    return tmp_path
