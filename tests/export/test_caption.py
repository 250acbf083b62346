"""Bundles for captioning: an image becomes the state that sentences begin with."""

import numpy as np
import pytest
import torch

from export.proof.parity import prove
from export.quality.quality import measure
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from service.bundle.tasks import CaptionTask
from tests.export.conftest import Exported, assert_every_trained_weight_is_proved, export_small
from training import captions
from training.data import digits
from training.tasks.caption import MAX_WORDS

MODEL = {"row_size": 9, "image_size": 12, "embedding_size": 5, "hidden_size": 16}


@pytest.fixture(scope="module")
def caption(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A model of sentences about digits."""
    return export_small(tmp_path_factory.mktemp("export"), "caption", MODEL, {"decode": (2, 16)})


def test_a_bundle_for_captioning_says_its_words_and_takes_whole_images(caption: Exported) -> None:
    manifest = caption.bundle.manifest
    assert manifest.task == CaptionTask(words=captions.vocabulary(), size=8, largest=16)
    assert [stage.name for stage in manifest.stages] == ["look", "decode"]
    assert not manifest.is_streamable


def test_it_is_proved_also_without_its_model(caption: Exported) -> None:
    report = prove(caption.open(), caption.checkpoint)
    assert report.passed
    assert {(check.name, check.stage) for check in report.checks} >= {("torch", "look"), ("torch", "decode")}
    assert prove(Rungs(caption.bundle, plan_of_bundle(caption.bundle)), caption.open()).passed


@torch.no_grad()
def test_graphs_write_the_sentences_of_the_model(caption: Exported) -> None:
    rungs = caption.open()
    look, decode = rungs.stages.values()
    images = look.draw(np.random.default_rng(3), 6, 1)["x"]
    begun = rungs.run(look, 1, {"x": images}, rungs.initial_state(6)).state
    greedy = {
        "uniforms": np.zeros((6, MAX_WORDS), dtype=np.float32),
        "temperature": np.zeros(6, dtype=np.float32),
        "top_k": np.full(6, len(captions.vocabulary())),
        "top_p": np.ones(6, dtype=np.float32),
        "remaining": np.full(6, MAX_WORDS),
    }
    tokens = rungs.run_cut(decode, greedy, begun, [2, 14]).outputs["tokens"]
    definition = caption.checkpoint.definition
    expected = definition.write(caption.model, torch.from_numpy(images))  # type: ignore[attr-defined]
    assert [definition._sentence(row) for row in tokens.tolist()] == expected  # type: ignore[attr-defined]
    assert len({str(sentence) for sentence in expected}) > 1


@torch.no_grad()
def test_the_figure_of_the_graphs_is_that_of_the_model(caption: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences of a model with random weights say next to nothing, so what is right is what the model says."""
    images = np.random.default_rng(1).uniform(0, 16, size=(4, 8, 8)).astype(np.float32)
    monkeypatch.setattr(digits, "load", lambda _: (images, np.arange(4)))
    monkeypatch.setattr(captions, "attributes_of", lambda placed, _: said_about(placed))

    def said_about(placed: np.ndarray) -> list[captions.Attributes]:
        sentences = caption.checkpoint.definition.write(caption.model, torch.from_numpy(placed))  # type: ignore[attr-defined]
        return [captions.parse(sentence) for sentence in sentences]

    assert measure(caption.bundle, caption.open()).value == 1
    monkeypatch.setattr(captions, "attributes_of", lambda placed, _: [captions.Attributes("x", "y", "z")] * len(placed))
    assert measure(caption.bundle, caption.open()).value == 0


def test_the_graphs_are_the_model_that_was_trained(caption: Exported) -> None:
    assert_every_trained_weight_is_proved(caption)
