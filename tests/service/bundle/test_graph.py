"""Graphs against their manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from service.bundle.errors import BundleGraphMismatch
from service.bundle.graph import Provider, open_graph
from service.bundle.manifest import Bundle, read_bundle
from service.bundle.prepared_graphs import PreparedGraphs
from service.bundle.stage import Stage
from service.engine import runtime as runtime_module
from service.engine.runtime import ProviderMissing, Runtime, available_providers
from tests.service.bundle.conftest import MANIFEST, running_sum, write_manifest

STAGE = MANIFEST["stages"][0]


def opened(directory: Path) -> ort.InferenceSession:
    bundle = read_bundle(directory)
    return open_graph(bundle, bundle.manifest.stage("encode"), 1)


def test_a_graph_that_matches_is_opened_for_one_thread_that_does_not_spin(directory: Path) -> None:
    options = opened(directory).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


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


def test_a_rung_is_opened_when_it_is_first_run(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    open_graph = runtime_module.open_graph

    def watched(
        bundle: Bundle, stage: Stage, size: int, providers: Sequence[Provider], prepared: PreparedGraphs | None
    ) -> ort.InferenceSession:
        opened.append(size)
        return open_graph(bundle, stage, size, providers, prepared)

    monkeypatch.setattr(runtime_module, "open_graph", watched)
    onnx.save(running_sum(2), directory / "encode-2.onnx")
    write_manifest(directory, stages=[{**MANIFEST["stages"][0], "rungs": {1: "encode-1.onnx", 2: "encode-2.onnx"}}])
    runtime = Runtime(read_bundle(directory))
    runtime.warm_up()
    assert opened == [1]
    feeds = {"x": np.float32([[1, 2]]), "total": np.float32([[10]])}
    for _ in range(2):
        assert runtime.run("encode", 2, feeds, ["total_next"])[0].tolist() == [[13]]
    assert opened == [1, 2]
    runtime.open_all()
    assert opened == [1, 2]


def test_a_provider_that_is_not_installed_is_an_error_that_says_how_to_get_it() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider, so none that could be asked for is absent")
    with pytest.raises(ProviderMissing, match="make serve ORT=gpu"):
        available_providers("cuda")
