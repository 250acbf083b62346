"""Graphs against their manifest."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from service.bundle.errors import BundleGraphMismatch, GraphUnavailable
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


def test_a_run_that_fails_writes_nothing_past_the_log(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    feeds = {"x": np.float32([[1], [2]]), "total": np.float32([[10], [11], [12]])}
    with pytest.raises(Exception, match="Add"):
        Runtime(read_bundle(directory)).run("encode", 1, feeds, ["total_next"])
    assert capfd.readouterr().err == ""


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


MEMORY = """
import sys
from pathlib import Path
import numpy as np
import psutil
from service.bundle.manifest import read_bundle
from service.engine.runtime import Runtime
runtime = Runtime(read_bundle(Path(sys.argv[1])))
N = 2**21
for size in range(1, 9):
    feeds = {"x": np.ones((N, size), np.float32), "total": np.ones((N, 1), np.float32)}
    runtime.run("encode", size, feeds, ["total_next"])
    del feeds
    print(psutil.Process().memory_info().rss // 2**20)
"""


def test_graphs_keep_memory_for_the_largest_run_not_for_each_of_theirs(directory: Path) -> None:
    """Each run needs 8 MB for the sum."""
    rungs = {size: f"encode-{size}.onnx" for size in range(1, 9)}
    for size, name in rungs.items():
        onnx.save(running_sum(size), directory / name)
    write_manifest(directory, stages=[{**STAGE, "rungs": rungs}])
    words = [sys.executable, "-c", MEMORY, str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603  words of this test
    after_one, *_, after_all = (int(line) for line in done.stdout.splitlines())
    assert after_all - after_one < 3 * 8


UNOPENED = """
import errno, os, resource, sys
from pathlib import Path
import numpy as np
from service.bundle.manifest import read_bundle
from service.engine.runtime import Runtime
from service.errors import OutOfResources
runtime = Runtime(read_bundle(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
feeds = {"x": np.float32([[1, 2]]), "total": np.float32([[10]])}
for _ in range(2):
    try:
        runtime.run("encode", 2, feeds, ["total_next"])
    except OutOfResources as error:
        print(error)
for each in held:
    os.close(each)
print(runtime.run("encode", 2, feeds, ["total_next"])[0].tolist())
"""


def test_a_rung_that_cannot_be_opened_for_lack_of_files_is_opened_once_there_are_some(directory: Path) -> None:
    onnx.save(running_sum(2), directory / "encode-2.onnx")
    write_manifest(directory, stages=[{**STAGE, "rungs": {1: "encode-1.onnx", 2: "encode-2.onnx"}}])
    words = [sys.executable, "-c", UNOPENED, str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603  words of this test
    refusal = "this worker lacks the files or the memory for it now; try again"
    assert done.stdout.splitlines() == [refusal, refusal, "[[13.0]]"]
    assert done.stderr.count("cannot be opened now\n") == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc")])
def test_a_graph_that_finds_no_memory_is_not_at_fault(
    directory: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ort, "InferenceSession", fail)
    with pytest.raises(GraphUnavailable, match="cannot be opened now"):
        opened(directory)


def test_a_provider_that_is_not_installed_is_an_error_that_says_how_to_get_it() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider, so none that could be asked for is absent")
    with pytest.raises(ProviderMissing, match="make serve ORT=gpu"):
        available_providers("cuda")
