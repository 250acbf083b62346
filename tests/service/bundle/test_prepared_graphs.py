"""Graphs that onnxruntime has prepared, in files that processes share."""

import fcntl
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from service.bundle import prepared_graphs
from service.bundle.graph import graph_inputs, graph_outputs, open_graph, session_options
from service.bundle.manifest import Bundle, read_bundle
from service.bundle.prepared_graphs import PreparedGraphs
from service.bundle.stage import Stage

MODELS = Path(__file__).parents[3] / "models"
NAMES = sorted(path.name for path in MODELS.iterdir())


@pytest.fixture(scope="module")
def generation() -> Bundle:
    """A bundle with six rungs in one stage and two in another."""
    return read_bundle(MODELS / "generation")


def prepare(bundle: Bundle, prepared: PreparedGraphs, T: int = 1) -> Path:
    """The prepared form of a rung."""
    return prepared.path(bundle, bundle.manifest.stage("encode").rungs[T], session_options())


def results(session: ort.InferenceSession, bundle: Bundle, stage: Stage, T: int) -> Iterator[bytes]:
    """What a graph makes of random rows, alone and in a batch."""
    names = [spec.name for spec in graph_outputs(bundle, stage)]
    for N in (1, 5):
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
        for T in sorted(stage.rungs)[:2]:
            path = PreparedGraphs(tmp_path).path(bundle, stage.rungs[T], session_options())
            assert path.is_relative_to(tmp_path)
            prepared = open_graph(bundle, stage, T, prepared=PreparedGraphs(tmp_path))
            as_it_is = open_graph(bundle, stage, T)
            assert list(results(prepared, bundle, stage, T)) == list(results(as_it_is, bundle, stage, T))


def test_all_rungs_of_a_bundle_share_their_weights(generation: Bundle, tmp_path: Path) -> None:
    prepared = PreparedGraphs(tmp_path)
    graphs = {stage.rungs[T] for stage in generation.manifest.stages for T in stage.rungs}
    for graph in graphs:
        prepared.path(generation, graph, session_options())
    files = list((tmp_path / generation.version).iterdir())
    assert sum(path.suffix == ".onnx" for path in files) == len(graphs)
    num_bytes = sum(path.stat().st_size for path in files if path.suffix == ".weights")
    assert num_bytes < 4 * generation.file("weights.bin").stat().st_size  # float32, and packed; float16 there
    assert {path.suffix or path.name for path in files} == {".onnx", ".weights", "lock"}


def test_what_is_there_is_taken(generation: Bundle, tmp_path: Path) -> None:
    made = prepare(generation, PreparedGraphs(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in made.parent.iterdir()}
    assert prepare(generation, PreparedGraphs(tmp_path)) == made
    assert {path: path.stat().st_mtime_ns for path in made.parent.iterdir()} == before


@pytest.mark.parametrize("suffix", ["onnx", "weights"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_what_is_damaged_is_made_anew(generation: Bundle, tmp_path: Path, suffix: str, is_cut: bool) -> None:
    made = prepare(generation, PreparedGraphs(tmp_path))
    intact = {path.name: path.read_bytes() for path in made.parent.iterdir()}
    damaged = max(made.parent.glob(f"*.{suffix}"), key=lambda path: path.stat().st_size)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] if is_cut else content[:-1] + bytes([content[-1] ^ 1]))
    assert prepare(generation, PreparedGraphs(tmp_path)) == made
    assert {path.name: path.read_bytes() for path in made.parent.iterdir()} == intact


def test_weights_that_are_gone_are_made_anew(generation: Bundle, tmp_path: Path) -> None:
    made = prepare(generation, PreparedGraphs(tmp_path))
    next(made.parent.glob("*.weights")).unlink()
    assert prepare(generation, PreparedGraphs(tmp_path)) == made
    stage = generation.manifest.stage("encode")
    session = ort.InferenceSession(made, session_options())
    assert list(results(session, generation, stage, 1))


def test_where_nothing_can_be_written_the_graph_itself_is_opened(
    generation: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    prepared = PreparedGraphs(occupied / "graphs")
    stage = generation.manifest.stage("encode")
    with caplog.at_level(logging.WARNING):
        for T in (1, 2):
            assert prepare(generation, prepared, T) == generation.file(stage.rungs[T])
    assert len(caplog.records) == 1, "told once"
    assert str(occupied) in caplog.text
    assert open_graph(generation, stage, 1, prepared=prepared).get_inputs()


def test_a_lock_that_is_never_let_go_of_holds_nobody_up(
    generation: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prepared_graphs, "LOCK_SECONDS", 0.1)
    directory = tmp_path / generation.version
    directory.mkdir()
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepared = PreparedGraphs(tmp_path)
        assert prepare(generation, prepared) == generation.file("encode-1.onnx")
    assert "does not go on" in caplog.text
    assert prepare(generation, prepared).is_relative_to(tmp_path), "once it is free"


def test_what_was_left_by_one_that_was_killed_is_in_nobodys_way(generation: Bundle, tmp_path: Path) -> None:
    scratch = tmp_path / generation.version / "scratch"
    scratch.mkdir(parents=True)
    (scratch / "graph.onnx").write_bytes(b"half of one")
    made = prepare(generation, PreparedGraphs(tmp_path))
    assert made.is_relative_to(tmp_path)
    assert not scratch.exists()


def test_several_may_prepare_the_same_graph_at_once(generation: Bundle, tmp_path: Path) -> None:
    def opened(_: int) -> list[bytes]:
        session = open_graph(generation, stage, 8, prepared=PreparedGraphs(tmp_path))
        return list(results(session, generation, stage, 8))

    stage = generation.manifest.stage("encode")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(opened, range(4)))
    assert found == [found[0]] * 4
    assert len(list(tmp_path.glob("*/*.onnx"))) == 1
