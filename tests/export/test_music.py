"""Bundles for music: note by note, and only what may follow."""

import numpy as np
import pytest

from export.proof.parity import _error, prove
from export.quality.quality import measure
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from export.weights import rounded
from service.bundle.tasks import MusicTask
from tests.export.conftest import GENERATION_RUNGS, MODEL, Exported, assert_every_trained_weight_is_proved, export_small
from training.data import polyphony
from training.models.generation import IMPOSSIBLE_LOGIT
from training.music import END_OF_FRAME, VOCABULARY_SIZE, successors

ROWS, LENGTH = 64, 40


@pytest.fixture(scope="module")
def chorales(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A model of chorales."""
    return export_small(tmp_path_factory.mktemp("export"), "chorales", {**MODEL, "layers": 2}, GENERATION_RUNGS)


def test_a_bundle_for_music_says_its_grid_and_is_proved(chorales: Exported) -> None:
    manifest = chorales.bundle.manifest
    assert manifest.task == MusicTask(lowest=21, highest=108, frames_per_beat=1, frames_per_bar=4)
    assert (manifest.name, manifest.cell) == ("chorales", "lstm")
    assert prove(chorales.open(), chorales.checkpoint).passed


def test_a_finished_bundle_can_be_tried_without_its_model(chorales: Exported) -> None:
    assert prove(Rungs(chorales.bundle, plan_of_bundle(chorales.bundle)), chorales.open()).passed


@pytest.mark.parametrize("temperature", [0.0, 1.0, 10.0])
def test_all_that_is_sampled_are_frames(chorales: Exported, temperature: float) -> None:
    rungs = chorales.open()
    encode, decode = rungs.stages.values()
    rng = np.random.default_rng(1)
    begun = rungs.run(encode, 1, {"x": np.full((ROWS, 1), END_OF_FRAME)}, rungs.initial_state(ROWS)).state
    inputs = {
        "uniforms": rng.random((ROWS, LENGTH), dtype=np.float32),
        "temperature": np.full(ROWS, temperature, dtype=np.float32),
        "top_k": np.full(ROWS, VOCABULARY_SIZE),
        "top_p": np.ones(ROWS, dtype=np.float32),
        "remaining": np.full(ROWS, LENGTH),
    }
    inputs["uniforms"][0] = 1 - 2.0**-24  # the last of all eligible tokens
    tokens = rungs.run_cut(decode, inputs, begun, [5] * (LENGTH // 5)).outputs["tokens"]
    before = np.concatenate([np.full((ROWS, 1), END_OF_FRAME), tokens[:, :-1]], axis=1)
    assert successors().numpy()[before, tokens].all()
    assert len(np.unique(tokens)) > (1 if temperature else 0)


def test_an_error_among_what_is_possible_is_noticed_beside_what_is_not() -> None:
    """The constant for what is impossible is large, and must not make errors of others look small."""
    expected = np.array([[0.5, IMPOSSIBLE_LOGIT]] * 3, dtype=np.float32)
    found = expected.copy()
    found[:, 0] += 1e-3
    assert _error(found, expected, 0, np.ones(3)) == pytest.approx(1e-3, rel=1e-3)


def test_graphs_are_as_likely_to_write_a_piece_as_the_model(
    chorales: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [tuple((48 + i % 5, 60 + i % 7) for i in range(length)) for length in (3, 11)]
    monkeypatch.setattr(polyphony, "load", lambda *_: pieces)
    expected = chorales.checkpoint.definition.evaluate(rounded(chorales.checkpoint.model), "dev")
    found = measure(chorales.bundle, chorales.open())
    assert (found.metric, found.of) == ("nats_per_frame", "graph")
    assert found.value == pytest.approx(expected["nats_per_frame"], rel=1e-4)


def test_the_graphs_are_the_model_that_was_trained(chorales: Exported) -> None:
    assert_every_trained_weight_is_proved(chorales)
