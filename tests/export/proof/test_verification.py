"""Bundles that were made elsewhere: the one of docs/own-weights.md, and what people get wrong."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.command import main
from export.proof.verification import STREAMING_STAGES, WHOLE_STAGES
from service.bundle.manifest import sha256_of
from service.catalog import MODELS
from service.tasks.task import SequenceModel
from tests.own_weights import blocks, write_bundle
from tests.paths import ROOT

WORDS = ["[UNK]", *["where", "is", "my", "order", "please", "thank", "you", "very", "much", "for", "a", "question"]]


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the page."""
    directory = tmp_path_factory.mktemp("elsewhere")
    write_bundle(directory, WORDS)
    return directory / "mails"


def edited(mails: Path, directory: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of the bundle with another manifest, and the checksums of its files."""
    copy = Path(shutil.copytree(mails, directory / "mails"))
    manifest = json.loads((copy / "manifest.json").read_text())
    edit(manifest)
    manifest["files"] = {name: sha256_of(copy / name) for name in manifest["files"]}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_a_bundle_as_on_the_page_passes_every_check_of_its_graphs(
    mails: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(mails)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    checks = [(line[0], line[2]) for line in lines[1:-1]]
    assert checks == [
        *((check, size) for check in ("batch", "nan") for size in ("1", "4", "16")),
        ("steps", "4"),
        ("steps", "16"),
        ("cuts", "all"),
    ]
    assert {line[-1] for line in lines[1:-1]} == {"ok"}
    assert lines[-1] == [f"{mails}:", "all", "9", "checks", "passed"]


@pytest.mark.parametrize("name", ["generation", "sentiment-bidirectional", "caption"])
def test_what_ships_passes_too(name: str) -> None:
    assert main(["verify", str(ROOT / "models" / name)]) == 0


def sum_of_the_batch(path: Path) -> None:
    """Let every logit depend on the whole batch a little, as dynamic quantization does."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["before" if name == "logits" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(1e-3, np.float32), "little"))
    model.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["before"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "little"], ["leak"]),
            helper.make_node("Add", ["before", "leak"], ["logits"]),
        ]
    )
    onnx.save(model, path)


@pytest.mark.parametrize("verb", ["verify", "import"])
def test_a_bundle_whose_rows_see_each_other_is_refused(
    mails: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    copy = Path(shutil.copytree(mails, tmp_path / "leaking"))
    sum_of_the_batch(copy / "encode-1.onnx")
    copy = edited(copy, tmp_path, lambda _: None)
    assert main([verb, str(copy)]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("FAILED") == 5
    failed = "batch of encode 1, nan of encode 1, steps of encode 4, steps of encode 16, cuts of encode all"
    assert printed.err == f"error: {copy}: 5 of 9 checks failed: {failed}\n"


def without_rung_1(manifest: dict[str, Any]) -> None:
    del manifest["stages"][0]["rungs"]["1"]


def without_time(manifest: dict[str, Any]) -> None:
    manifest["stages"][0]["outputs"][0]["shape"] = ["N", 3]


def with_two_labels(manifest: dict[str, Any]) -> None:
    manifest["task"]["labels"] = ["order", "question"]


def with_wider_state(manifest: dict[str, Any]) -> None:
    manifest["state"][0]["shape"] = [1, "N", 17]


def with_a_stage_twice(manifest: dict[str, Any]) -> None:
    manifest["stages"] *= 2


def with_another_stage(manifest: dict[str, Any]) -> None:
    manifest["stages"][0]["name"] = "encoder"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (without_rung_1, 'stage \'encode\' needs a rung of 1 beside [4, 16]: "fit": "exact" is the default'),
        (without_time, "'logits' of stage 'encode' has no axis \"T\""),
        (with_two_labels, "'logits' of stage 'encode' has 3 values, but the task lists 2 labels"),
        (with_wider_state, "its inputs are"),
        (with_a_stage_twice, "['encode'] are listed more than once as stages"),
        (
            with_another_stage,
            "a model for sentiment needs the stages ['encode'] or ['forward1', 'backward1', 'head'], not ['encoder']",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_or_its_graphs_is_an_error(
    mails: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    edit: Callable[[dict[str, Any]], object],
    reason: str,
) -> None:
    assert main(["verify", str(edited(mails, tmp_path, edit))]) == 1
    assert reason in capsys.readouterr().err


def test_a_tokenizer_that_knows_more_words_than_the_embedding_is_an_error(
    mails: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(mails, tmp_path / "larger"))
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["later"] = len(WORDS)
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert main(["verify", str(edited(copy, tmp_path, lambda _: None))]) == 1
    assert "a graph fails on what a model for sentiment reads" in capsys.readouterr().err


def test_a_tokenizer_may_have_any_name_but_must_be_one(
    mails: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(mails, tmp_path / "renamed"))
    (copy / "tokenizer.json").rename(copy / "words.json")

    def rename(manifest: dict[str, Any]) -> None:
        manifest["task"]["tokenizer"] = "words.json"
        manifest["files"]["words.json"] = manifest["files"].pop("tokenizer.json")

    copy = edited(copy, tmp_path, rename)
    assert main(["verify", str(copy)]) == 0
    (copy / "words.json").write_text("{")
    (tmp_path / "damaged").mkdir()
    assert main(["verify", str(edited(copy, tmp_path / "damaged", lambda _: None))]) == 1
    assert "words.json is not a tokenizer: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "reason"),
    [("forecasting", "stage 'encode' has no input to cut"), ("translation-de", "a graph fails on what a model for")],
)
def test_a_stage_without_inputs_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["stages"][0 if name == "forecasting" else -1]["inputs"] = []

    assert main(["verify", str(edited(ROOT / "models" / name, tmp_path, edit))]) == 1
    assert reason in capsys.readouterr().err


def with_external_weights(mails: Path, directory: Path) -> Path:
    """A copy of the bundle in which the weights of a graph are in a file of their own."""
    copy = Path(shutil.copytree(mails, directory))
    graph = onnx.load(copy / "encode-4.onnx")
    (copy / "encode-4.onnx").unlink()
    onnx.save(graph, copy / "encode-4.onnx", save_as_external_data=True, location="w4.data", size_threshold=100)
    return copy


@pytest.mark.parametrize("verb", ["verify", "import"])
def test_external_weights_that_the_manifest_does_not_list_are_an_error(
    mails: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    copy = with_external_weights(mails, tmp_path / "external")
    copy = edited(copy, tmp_path, lambda _: None)
    assert main([verb, str(copy)]) == 1
    error = capsys.readouterr().err
    assert f"{copy}, copied with the files that its manifest lists: " in error
    assert "w4.data" in error


def test_external_weights_that_the_manifest_lists_are_verified(mails: Path, tmp_path: Path) -> None:
    copy = with_external_weights(mails, tmp_path / "external")
    copy = edited(copy, tmp_path, lambda manifest: manifest["files"].update({"w4.data": ""}))
    assert main(["verify", str(copy)]) == 0


def test_the_stages_of_each_kind_are_those_that_the_service_needs() -> None:
    for model in MODELS:
        stages = STREAMING_STAGES if issubclass(model, SequenceModel) else WHOLE_STAGES
        assert stages[model.kind] == tuple(model.needs)
    assert len(MODELS) == len(STREAMING_STAGES) + len(WHOLE_STAGES)


def test_a_changed_file_is_an_error(mails: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(mails, tmp_path / "mails"))
    sum_of_the_batch(copy / "encode-1.onnx")
    assert main(["verify", str(copy)]) == 1
    assert "encode-1.onnx: sha256 is" in capsys.readouterr().err


def test_a_bundle_that_was_made_elsewhere_takes_no_shipped_name_unasked(
    mails: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = edited(mails, tmp_path, lambda manifest: manifest.update(name="sentiment"))
    assert main(["import", str(copy)]) == 1
    printed = capsys.readouterr()
    assert f"{copy} is not shipped, and sentiment is the name of a model" in printed.err
    assert 'give another "name" in its manifest, or add --replace-shipped' in printed.err
    assert printed.out == ""


def test_a_bundle_that_passes_is_imported_into_the_model_store(mails: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    script = [sys.executable, "-m", "export", "import", str(mails)]
    done = subprocess.run(script, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    imported, following, command = done.stdout.splitlines()[-3:]
    (version,) = (each for each in (tmp_path / "models/mails").iterdir() if each.is_dir())
    assert imported == f"imported mails:{version.name} into the BentoML model store"
    assert (following, command.strip()) == ("next:", "UNROLLED_BUNDLES=mails:latest make serve")
    assert command.strip() in blocks("bash")[1]
