"""Graphs against their manifest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle.errors import BundleGraphMismatch
from service.bundle.graph import open_graph
from service.bundle.manifest import read_bundle
from service.runtime import ProviderMissing, Runtime, available_providers
from tests.service.bundle.conftest import MANIFEST, write_manifest

STAGE = MANIFEST["stages"][0]


def opened(directory: Path) -> None:
    bundle = read_bundle(directory)
    open_graph(bundle, bundle.manifest.stage("encode"), 1)


def test_a_graph_that_matches_is_opened(directory: Path) -> None:
    opened(directory)


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": [{**STAGE, "inputs": []}]},
        {"stages": [{**STAGE, "inputs": [{"name": "x", "dtype": "int64", "shape": ["N", "T"]}]}]},
        {"stages": [{**STAGE, "inputs": [{"name": "x", "dtype": "float32", "shape": ["N", 3]}]}]},
        {"stages": [{**STAGE, "writes": []}]},
        {"state": [{"name": "total", "dtype": "float32", "shape": ["N", 2], "initial": 0}]},
    ],
)
def test_a_graph_that_does_not_match_its_manifest_is_refused(directory: Path, changes: dict[str, Any]) -> None:
    write_manifest(directory, **changes)
    with pytest.raises(BundleGraphMismatch, match="the manifest says"):
        opened(directory)


def test_what_is_no_graph_is_refused(directory: Path) -> None:
    (directory / "encode-1.onnx").write_bytes(b"not a graph")
    write_manifest(directory)
    with pytest.raises(BundleGraphMismatch, match="onnxruntime cannot load it"):
        opened(directory)


def test_a_runtime_runs_rows(directory: Path) -> None:
    runtime = Runtime(read_bundle(directory))
    runtime.warm_up()
    feeds = {"x": np.float32([[0], [1], [2]]), "total": np.float32([[10], [10], [10]])}
    (total_next,) = runtime.run("encode", 1, feeds, ["total_next"])
    assert total_next.tolist() == [[10], [11], [12]]


def test_a_provider_that_is_not_installed_is_an_error_that_says_how_to_get_it() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider, so none that could be asked for is absent")
    with pytest.raises(ProviderMissing, match="make serve ORT=gpu"):
        available_providers("cuda")
