"""Bundles on disk: complete, verified, and there whole or not at all."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from export.bundle import bundle as bundle_module
from export.bundle import directory as directory_module
from export.bundle.bundle import export
from export.errors import BundleTooLarge, DestinationTaken, ParityFailed
from export.running.rungs import Rungs
from service.bundle.manifest import read_bundle
from tests.export.changed_weight import change_recurrent_weight
from tests.export.conftest import CHARACTERS, SENTIMENT_RUNGS, Exported
from training.models.sentiment import CLASSES
from training.tasks.sentiment import SentimentTask


@pytest.fixture
def quick(sentiment: Exported, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Export with the graphs that are there, since tracing takes seconds; they may be changed on the way."""

    def use(change: Callable[[Path], None] = lambda _: None) -> None:
        def copy_graphs(directory: Path, *_: object) -> dict[tuple[str, int], int]:
            for path in (*sentiment.bundle.path.glob("*.onnx"), sentiment.bundle.file("weights.bin")):
                shutil.copyfile(path, directory / path.name)
            change(directory)
            return {("encode", 1): 1, ("encode", 3): 3}

        monkeypatch.setattr(bundle_module, "write_graphs", copy_graphs)

    return use


def contents(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_bundle_lists_all_its_files(exported: Exported) -> None:
    bundle = exported.bundle
    assert contents(bundle.path) == sorted(["manifest.json", *bundle.manifest.files])
    assert {"README.md", "parity.json", "weights.bin"} < bundle.manifest.files.keys()


def test_text_bundles_hold_the_tokenizer_of_the_checkpoint(sentiment: Exported, generation: Exported) -> None:
    for exported in (sentiment, generation):
        path = exported.checkpoint.tokenizer_path
        assert path is not None
        assert exported.bundle.file("tokenizer.json").read_bytes() == path.read_bytes()


def test_the_manifest_says_what_was_trained_and_how(exported: Exported) -> None:
    manifest, source = exported.bundle.manifest, exported.checkpoint
    assert manifest.name == source.task
    assert manifest.task.kind == source.task.removesuffix("-window")
    assert manifest.command == source.command
    assert [data.sha256 for data in manifest.data] == [data.sha256 for data in source.sources]
    assert all(data.licence in manifest.licence for data in manifest.data)


def test_the_manifest_has_the_state_of_the_model(exported: Exported) -> None:
    expected = [(tensor.name, tensor.dtype, tensor.shape, tensor.initial) for tensor in exported.model.state]  # type: ignore[union-attr]
    state = exported.bundle.manifest.state
    assert [(tensor.name, tensor.dtype, tensor.shape, tensor.initial) for tensor in state] == expected


def test_tasks_are_described_in_their_own_words(
    sentiment: Exported, generation: Exported, forecasting: Exported
) -> None:
    assert sentiment.bundle.manifest.task.model_dump()["labels"] == CLASSES
    assert generation.bundle.manifest.task.model_dump()["characters"] == tuple(sorted(CHARACTERS))
    task = forecasting.bundle.manifest.task.model_dump()
    assert (task["segment"], task["max_horizon"]) == (24, 3 * 24)
    assert 0.5 in task["quantiles"]


def test_reading_a_text_does_not_depend_on_what_was_expected_before_it(generation: Exported) -> None:
    encode, decode = generation.bundle.manifest.stages
    assert "pending_logits" not in encode.reads
    assert "pending_logits" in encode.writes
    assert decode.reads == decode.writes == encode.writes


def test_the_proof_of_parity_is_kept(exported: Exported) -> None:
    proof = json.loads(exported.bundle.file("parity.json").read_text())
    assert proof["passed"] is True
    assert {check["name"] for check in proof["checks"]} >= {"torch", "batch", "nan"}


def test_the_card_names_data_licence_command_and_proof(exported: Exported) -> None:
    card = exported.bundle.file("README.md").read_text()
    data = exported.bundle.manifest.data[0]
    for part in (data.name, data.address, data.licence, exported.checkpoint.command, "largest error", "Not measured"):
        assert part in card


def test_a_failed_proof_writes_nothing_and_names_the_check(
    sentiment: Exported, quick: Callable[..., None], tmp_path: Path
) -> None:
    quick(change_recurrent_weight)
    with pytest.raises(ParityFailed, match=r"torch +encode +1 .*FAILED"):
        export(sentiment.checkpoint, tmp_path / "sentiment", SENTIMENT_RUNGS)
    assert contents(tmp_path) == []


def test_what_is_not_proved_is_not_measured(
    sentiment: Exported, quick: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(change_recurrent_weight)
    monkeypatch.setattr(SentimentTask, "evaluate", lambda *_: pytest.fail("measured"))
    evaluated = replace(sentiment.checkpoint, figures={"dev": {"accuracy": 0.85}})
    with pytest.raises(ParityFailed):
        export(evaluated, tmp_path / "sentiment", SENTIMENT_RUNGS)


def test_a_failed_proof_leaves_the_former_bundle(
    sentiment: Exported, quick: Callable[..., None], tmp_path: Path
) -> None:
    former = Path(shutil.copytree(sentiment.bundle.path, tmp_path / "sentiment"))
    quick(change_recurrent_weight)
    with pytest.raises(ParityFailed):
        export(sentiment.checkpoint, former, SENTIMENT_RUNGS)
    assert read_bundle(former).tag == sentiment.bundle.tag
    assert contents(tmp_path) == ["sentiment"]


def test_a_bundle_replaces_the_former_one(sentiment: Exported, quick: Callable[..., None], tmp_path: Path) -> None:
    former = Path(shutil.copytree(sentiment.bundle.path, tmp_path / "sentiment"))
    (former / "left_over.txt").write_text("of the former bundle")
    quick()
    exported = export(sentiment.checkpoint, former, SENTIMENT_RUNGS)
    assert exported.bundle.path == former
    assert "left_over.txt" not in contents(former)
    assert contents(tmp_path) == ["sentiment"]


def test_what_is_no_bundle_is_not_replaced(sentiment: Exported, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("four years of work")
    with pytest.raises(DestinationTaken, match="is not a bundle"):
        export(sentiment.checkpoint, tmp_path)
    assert contents(tmp_path) == ["thesis.txt"]


def test_a_bundle_that_is_too_large_is_refused(
    sentiment: Exported, quick: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick()
    monkeypatch.setattr(directory_module, "MAX_BYTES", 10_000)
    with pytest.raises(BundleTooLarge, match="10000 are allowed"):
        export(sentiment.checkpoint, tmp_path / "sentiment", SENTIMENT_RUNGS)
    assert contents(tmp_path) == []


def test_a_bundle_of_own_data_may_be_as_large_as_it_is(
    sentiment: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "MAX_BYTES", 10_000)
    directory = Path(shutil.copytree(sentiment.bundle.path, tmp_path / "mails"))
    manifest = sentiment.bundle.manifest
    own = tuple(data.model_copy(update={"address": "file:mails.csv"}) for data in manifest.data)
    with pytest.raises(BundleTooLarge):
        directory_module.write_manifest(directory, manifest)
    directory_module.write_manifest(directory, manifest.model_copy(update={"data": own}))


def test_an_interruption_writes_nothing(sentiment: Exported, quick: Callable[..., None], tmp_path: Path) -> None:
    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    quick(interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(sentiment.checkpoint, tmp_path / "sentiment", SENTIMENT_RUNGS)
    assert contents(tmp_path) == []


def test_every_rung_reports_what_it_costs(sentiment: Exported, quick: Callable[..., None], tmp_path: Path) -> None:
    quick()
    exported = export(sentiment.checkpoint, tmp_path / "sentiment", SENTIMENT_RUNGS)
    assert [(rung.stage, rung.size) for rung in exported.rungs] == [("encode", 1), ("encode", 3)]
    for rung in exported.rungs:
        assert rung.load_seconds > 0
        assert rung.file_bytes == exported.bundle.file(f"encode-{rung.size}.onnx").stat().st_size


def test_equal_checkpoints_give_equal_bundles(sentiment: Exported, quick: Callable[..., None], tmp_path: Path) -> None:
    quick()
    tags = {
        export(sentiment.checkpoint, tmp_path / name / "sentiment", SENTIMENT_RUNGS).bundle.tag
        for name in ("one", "two")
    }
    assert len(tags) == 1


def test_the_bundle_opens_where_it_was_moved(sentiment: Exported, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(sentiment.bundle.path, tmp_path / "elsewhere"))
    assert Rungs(read_bundle(moved), sentiment.stages).load_seconds.keys() == {("encode", 1), ("encode", 3)}
