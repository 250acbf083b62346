"""Graphs that onnxruntime has prepared, in files that processes share."""

import errno
import fcntl
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from service.bundle import prepared_graphs
from service.bundle.graph import graph_inputs, graph_outputs, open_graph
from service.bundle.manifest import Bundle, read_bundle
from service.bundle.prepared_graphs import PreparedGraphs
from service.bundle.stage import Stage
from tests.paths import MODELS

NAMES = sorted(path.name for path in MODELS.iterdir())


@pytest.fixture(scope="module")
def generation() -> Bundle:
    """A bundle with six rungs in one stage and two in another."""
    return read_bundle(MODELS / "generation")


def prepare(bundle: Bundle, prepared: PreparedGraphs, T: int = 1) -> Path | None:
    """The prepared form of a rung, if there is one."""
    return prepared.path(bundle, bundle.manifest.stage("encode").rungs[T])


def contents(directory: Path) -> dict[Path, bytes]:
    """All files below a directory."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def encoded(bundle: Bundle, prepared: PreparedGraphs | None, T: int) -> list[bytes]:
    """What a rung makes of random rows."""
    stage = bundle.manifest.stage("encode")
    return list(results(open_graph(bundle, stage, T, prepared=prepared), bundle, stage, T))


def results(session: ort.InferenceSession, bundle: Bundle, stage: Stage, T: int) -> Iterator[bytes]:
    """What a graph makes of random rows, alone and in a batch."""
    names = [spec.name for spec in graph_outputs(bundle, stage)]
    for N in (1, 5, 64):
        generator = np.random.default_rng(N)
        feeds: dict[str, NDArray[np.generic]] = {
            spec.name: np.ones(spec.sized(N, T), np.int64)
            if spec.dtype == "int64"
            else generator.normal(size=spec.sized(N, T)).astype(spec.dtype)
            for spec in graph_inputs(bundle, stage)
        }
        yield from (output.tobytes() for output in session.run(names, feeds))


@pytest.mark.parametrize("name", NAMES)
def test_prepared_graphs_give_the_bits_of_the_graphs_themselves(name: str, tmp_path: Path) -> None:
    bundle = read_bundle(MODELS / name)
    for stage in bundle.manifest.stages:
        for T in {min(stage.rungs), max(stage.rungs)}:
            path = PreparedGraphs(tmp_path).path(bundle, stage.rungs[T])
            assert path is not None
            assert path.is_relative_to(tmp_path)
            prepared = open_graph(bundle, stage, T, prepared=PreparedGraphs(tmp_path))
            as_it_is = open_graph(bundle, stage, T)
            assert list(results(prepared, bundle, stage, T)) == list(results(as_it_is, bundle, stage, T))


def test_all_rungs_of_a_bundle_share_their_weights(generation: Bundle, tmp_path: Path) -> None:
    prepared = PreparedGraphs(tmp_path)
    graphs = {stage.rungs[T] for stage in generation.manifest.stages for T in stage.rungs}
    for graph in graphs:
        prepared.path(generation, graph)
    files = list(tmp_path.glob("format-*/*/*"))
    assert sum(path.suffix == ".onnx" for path in files) == len(graphs)
    num_bytes = sum(path.stat().st_size for path in files if path.suffix == ".weights")
    assert num_bytes < 4 * generation.file("weights.bin").stat().st_size  # float32, and packed; float16 there
    assert {path.suffix or path.name for path in files} == {".onnx", ".weights", "lock"}


def test_what_is_there_is_taken(generation: Bundle, tmp_path: Path) -> None:
    prepared = prepare(generation, PreparedGraphs(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert prepare(generation, PreparedGraphs(tmp_path)) == prepared
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("is_same", [True, False], ids=["this process", "another process"])
@pytest.mark.parametrize("suffix", ["onnx", "weights"])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_what_is_damaged_is_made_anew(generation: Bundle, tmp_path: Path, how: str, suffix: str, is_same: bool) -> None:
    graphs = PreparedGraphs(tmp_path)
    prepared = prepare(generation, graphs)
    intact = contents(tmp_path)
    damaged = max(tmp_path.rglob(f"*.{suffix}"), key=lambda path: path.stat().st_size)
    if how == "gone":
        damaged.unlink()
    else:
        damaged.write_bytes(intact[damaged][:-1] + (b"" if how == "cut" else bytes([intact[damaged][-1] ^ 1])))
    assert prepare(generation, graphs if is_same else PreparedGraphs(tmp_path)) == prepared
    assert contents(tmp_path) == intact


def test_a_directory_that_is_deleted_under_a_process_is_made_anew(generation: Bundle, tmp_path: Path) -> None:
    graphs = PreparedGraphs(tmp_path)
    stage = generation.manifest.stage("encode")
    session = open_graph(generation, stage, 1, prepared=graphs)
    shutil.rmtree(next(tmp_path.iterdir()))
    assert list(results(session, generation, stage, 1)) == encoded(generation, None, 1)
    assert encoded(generation, graphs, 2) == encoded(generation, None, 2)


def test_where_nothing_can_be_written_graphs_are_opened_as_they_are(
    generation: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    graphs = PreparedGraphs(occupied / "graphs")
    with caplog.at_level(logging.WARNING):
        assert encoded(generation, graphs, 1) == encoded(generation, None, 1)
        assert prepare(generation, graphs, 2) is None
    assert len(caplog.records) == 1, "told once"
    assert str(occupied) in caplog.text


def test_a_disk_that_fills_up_keeps_no_weights_without_their_graph(
    generation: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(path: Path, target: Path) -> Path:
        if path.suffix == ".onnx":
            raise OSError(errno.ENOSPC, "No space left on device")
        return as_ever(path, target)

    as_ever = Path.replace
    graphs = PreparedGraphs(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(Path, "replace", replace)
        assert prepare(generation, graphs) is None
    assert [path.name for path in contents(tmp_path)] == ["lock"]
    assert prepare(generation, graphs) is None, "not again at once"
    monkeypatch.setattr(graphs, "_paused_until", 0.0)
    assert prepare(generation, graphs) is not None


def test_what_is_there_is_taken_while_nothing_can_be_made(generation: Bundle, tmp_path: Path) -> None:
    graphs = PreparedGraphs(tmp_path)
    prepared = prepare(generation, graphs)
    graphs._paused_until = float("inf")
    assert prepare(generation, graphs, 2) is None
    assert prepare(generation, graphs) == prepared


def test_a_prepared_graph_that_cannot_be_opened_gives_way_to_the_graph_itself(
    generation: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    graphs = PreparedGraphs(tmp_path)
    monkeypatch.setattr(graphs, "path", lambda *_: broken)
    assert encoded(generation, graphs, 1) == encoded(generation, None, 1)
    assert "using the original graph instead" in caplog.text


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_what_others_may_have_written_is_not_trusted(generation: Bundle, tmp_path: Path, mode: int) -> None:
    prepared = prepare(generation, PreparedGraphs(tmp_path))
    assert prepared is not None
    assert stat.S_IMODE(prepared.parent.stat().st_mode) == 0o700
    prepared.parent.chmod(mode)
    assert prepare(generation, PreparedGraphs(tmp_path)) is None


def test_a_lock_that_leads_elsewhere_is_not_followed(generation: Bundle, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    graphs = PreparedGraphs(tmp_path)
    (lock,) = [path for path in contents(prepare_parent(generation, graphs)) if path.name == "lock"]
    lock.unlink()
    lock.symlink_to(precious)
    assert prepare(generation, graphs, 2) is None
    assert precious.read_text() == "kept"


def prepare_parent(bundle: Bundle, graphs: PreparedGraphs) -> Path:
    """The directory of a bundle's prepared graphs, with one in it."""
    prepared = prepare(bundle, graphs)
    assert prepared is not None
    return prepared.parent


def test_a_lock_that_is_never_let_go_of_holds_others_up_once(
    generation: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    graphs = PreparedGraphs(tmp_path)
    with (prepare_parent(generation, graphs) / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(prepared_graphs, "LOCK_SECONDS", 0.1)
        assert prepare(generation, graphs, 2) is None
        monkeypatch.setattr(prepared_graphs, "LOCK_SECONDS", 60.0)
        assert prepare(generation, graphs, 4) is None
    assert caplog.text.count("was held by another process") == 1


def test_others_that_hold_the_lock_one_after_another_are_waited_for(
    generation: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = PreparedGraphs(tmp_path)
    lock = prepare_parent(generation, graphs) / "lock"
    monkeypatch.setattr(prepared_graphs, "LOCK_SECONDS", 1.0)
    monkeypatch.setattr(prepared_graphs, "LOCK_SECONDS_PER_BYTE", 0.0)
    with lock.open() as held, ThreadPoolExecutor(1) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = pool.submit(prepare, generation, graphs, 2)
        for _ in range(15):
            time.sleep(0.1)
            os.utime(lock)  # another one has it
        fcntl.flock(held, fcntl.LOCK_UN)
        assert waiting.result() is not None


def test_what_was_left_by_one_that_was_killed_is_removed(generation: Bundle, tmp_path: Path) -> None:
    graphs = PreparedGraphs(tmp_path)
    scratch = prepare_parent(generation, graphs) / "scratch-of-one-that-was-killed"
    scratch.mkdir()
    (scratch / "graph.onnx").write_bytes(b"half of one")
    assert prepare(generation, graphs, 2) is not None
    assert not scratch.exists()


def test_several_may_prepare_the_same_graph_at_once(generation: Bundle, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: encoded(generation, PreparedGraphs(tmp_path), 8), range(4)))
    assert found == [encoded(generation, None, 8)] * 4
    assert len(list(tmp_path.rglob("*.onnx"))) == 1


def test_whoever_asks_is_told_when_a_graph_was_prepared_and_not_when_it_was_there(
    generation: Bundle, tmp_path: Path
) -> None:
    times: list[int] = []
    for _ in range(2):
        prepare(generation, PreparedGraphs(tmp_path, lambda: times.append(1)))
    assert times == [1]
