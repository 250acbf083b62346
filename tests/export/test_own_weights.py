"""The way of docs/own-weights.md by a checkpoint, with the page's own script and settings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from export.command import main
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from service.bundle.manifest import MANIFEST_FILE, read_bundle
from tests.own_weights import Recurrent, blocks, run_script, saved
from training import checkpoint
from training.checkpoint import CheckpointError
from training.command import main as train
from training.data.source import DataSource

CHARACTERS = "etaoin \n\rshr"  # in the order of somebody else's training
FEW_RUNGS = ["--rungs", "encode=1,3", "--rungs", "decode=2", "--no-import"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recurrent, Path]:
    """Somebody's character model, and the directory in which the page's script has converted it."""
    directory = tmp_path_factory.mktemp("foreign")
    torch.manual_seed(1)
    network = saved(Recurrent(len(CHARACTERS), outputs=len(CHARACTERS), layers=2), directory)
    (directory / "characters.txt").write_bytes(CHARACTERS.encode())
    run_script(blocks("python")[0], directory)
    (directory / "runs/mine/best/config.json").write_text(blocks("json")[0], encoding="utf-8")
    return network, directory / "runs/mine/best"


def test_a_bundle_of_foreign_weights_computes_what_their_network_does_and_tells_no_falsehood(
    network: tuple[Recurrent, Path], tmp_path: Path
) -> None:
    module, converted = network
    assert main([str(converted), "--name", "mine", "--output", str(tmp_path), *FEW_RUNGS]) == 0
    bundle = read_bundle(tmp_path / "mine")
    rungs = Rungs(bundle, plan_of_bundle(bundle))
    x = np.random.default_rng(1).integers(len(CHARACTERS), size=(2, 7))
    found = rungs.run_cut(rungs.stages["encode"], {"x": x}, rungs.initial_state(2), [3, 1, 3]).outputs["logits"]
    with torch.no_grad():
        np.testing.assert_allclose(found, module(torch.from_numpy(x)), atol=2e-3)  # matrices are rounded to float16
    assert bundle.manifest.task.characters == tuple(CHARACTERS)  # type: ignore[union-attr]
    assert [(each.name, each.licence) for each in bundle.manifest.data] == [("letters", "public domain")]
    assert (bundle.manifest.licence, bundle.manifest.figures) == ("CC BY 4.0", ())
    assert bundle.manifest.chosen_on is None
    card = (tmp_path / "mine/README.md").read_text(encoding="utf-8")
    assert "* letters: <https://example.org/letters.txt>. Licence: public domain.\n" in card
    assert "Licence of the weights: CC BY 4.0.\n" in card
    assert "```\npython train.py --corpus letters.txt\npython -m export CHECKPOINT --name mine\n```" in card
    assert "shakespeare" not in card + (tmp_path / "mine" / MANIFEST_FILE).read_text(encoding="utf-8")


def test_characters_that_are_not_those_of_the_embedding_are_told(tmp_path: Path) -> None:
    saved(Recurrent(len(CHARACTERS), outputs=len(CHARACTERS), layers=1), tmp_path)
    (tmp_path / "characters.txt").write_bytes(f"{CHARACTERS}\n".encode())
    with pytest.raises(AssertionError, match="has 13 characters, 12 of them different, but the embedding has 12"):
        run_script(blocks("python")[0], tmp_path)
    assert not (tmp_path / "runs").exists()


def changed(converted: Path, directory: Path, **changes: object) -> Path:
    """A copy of the checkpoint with other entries in its config.json; None removes one."""
    directory.mkdir()
    for file in converted.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    config = {**json.loads((directory / "config.json").read_text()), **changes}
    kept = {key: value for key, value in config.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(kept))
    return directory


def test_foreign_weights_that_do_not_say_where_they_come_from_are_refused(
    network: tuple[Recurrent, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = changed(network[1], tmp_path / "silent", origin=None)
    assert main([str(silent), "--name", "mine", "--output", str(tmp_path / "models"), *FEW_RUNGS]) == 1
    assert f"{silent} was not trained by `python -m training`: say where" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ([], "the model was trained elsewhere: give its bundle its own name with --name"),
        (["--name", "generation"], "the model was trained elsewhere, and generation is the name of a model"),
    ],
)
def test_a_bundle_of_foreign_weights_takes_no_shipped_name_unasked(
    network: tuple[Recurrent, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: list[str],
    reason: str,
) -> None:
    assert main([str(network[1]), *name, "--output", str(tmp_path / "models"), *FEW_RUNGS]) == 1
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


ORIGIN = {"licence": "MIT", "data": []}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"origin": {"data": []}}, "origin: setting licence: Field required"),
        ({"origin": {**ORIGIN, "license": "MIT"}}, "origin: unknown setting license; known here: licence, data"),
        ({"command": "python -m training generation"}, "weights that 'python -m training generation' trained"),
        ({"task": "sentiment"}, "only checkpoints of generation can have an origin"),
    ],
)
def test_an_origin_that_cannot_be_told_is_refused(
    network: tuple[Recurrent, Path], tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(CheckpointError, match=reason):
        checkpoint.load(changed(network[1], tmp_path / "changed", **changes))


def test_foreign_weights_may_say_that_nobody_knows_their_data(network: tuple[Recurrent, Path], tmp_path: Path) -> None:
    assert checkpoint.load(changed(network[1], tmp_path / "unknown", origin=ORIGIN)).sources == ()
    unknown = {"name": "a forum", "address": "", "sha256": "", "licence": "unknown"}
    some = changed(network[1], tmp_path / "some", origin={**ORIGIN, "data": [unknown]})
    assert checkpoint.load(some).sources == (DataSource("a forum", "", "", "unknown"),)


def test_foreign_weights_are_not_measured_on_the_published_text(
    network: tuple[Recurrent, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = changed(network[1], tmp_path / "best")
    assert train(["evaluate", str(best), "--split", "dev"]) == 1
    assert "names no text to measure these weights on" in capsys.readouterr().err
    assert not (best / "figures.json").exists()
