from pathlib import Path

import numpy as np
import pytest
import torch

from training import checkpoint
from training.command import main
from training.data import wnut17, word_vectors
from training.data.wnut17 import Sentence
from training.tasks.entities import EntitiesTask
from training.tasks.pretrained import DEVIATION
from training.tasks.word_tagging import TaggingSettings

TRAIN = [
    Sentence(("Ada", "likes", "New", "York"), ("B-person", "O", "B-location", "I-location")),
    Sentence(("in", "Rome"), ("O", "B-location")),
    Sentence(("Bob", "sleeps"), ("B-person", "O")),
] * 6
DEV = [Sentence(("Ada", "sleeps", "in", "New", "York"), ("B-person", "O", "O", "B-location", "I-location"))]


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(words: list[str], size: int) -> np.ndarray:
        return np.random.default_rng(len(words)).normal(size=(len(words), size)).astype(np.float32)

    monkeypatch.setattr(wnut17, "load", {"train": TRAIN, "dev": DEV}.__getitem__)
    monkeypatch.setattr(word_vectors, "load", load)
    monkeypatch.setattr(word_vectors, "whole_words", lambda: {"paris"})


def test_words_that_have_a_vector_are_known_and_begin_with_it() -> None:
    task = EntitiesTask(TaggingSettings(vectors=True, vectors_rate=0.0, min_count=7))
    assert set(task.tokenizer.get_vocab()) == {"[UNK]", "paris"}
    model = task.build_model()
    task.initialise(model)
    assert float(model.embedding.weight.detach().std(unbiased=False)) == pytest.approx(DEVIATION, rel=1e-4)
    assert task.learning_rate_scale("embedding.weight") == 0.0


@torch.no_grad()
def test_words_outside_of_entities_count_by_their_weight() -> None:
    whole, light = (EntitiesTask(TaggingSettings(outside_weight=weight)) for weight in (1.0, 0.25))
    model = whole.build_model().eval()
    words, targets = whole.numbered(whole.sentences("dev")).batch([[0]])
    targets[..., 0] = 0
    torch.testing.assert_close(
        light.loss(model, (words, targets), None)[0], whole.loss(model, (words, targets), None)[0] / 4
    )


def test_trained_tagger_finds_entities_that_it_has_seen(tmp_path: Path) -> None:
    small = [
        "model.hidden_size=7",
        "model.word_size=6",
        "model.character_hidden_size=5",
        "rows=5",
        "rarity=0.0",
        "model.dropout=0.0",
        "model.input_dropout=0.0",
        "loop.epochs=10",
        "loop.learning_rate=0.05",
        "loop.ema_decay=none",
    ]
    settings = [part for setting in small for part in ("--set", setting)]
    assert main(["entities", "--output", str(tmp_path), *settings]) == 0
    figures = checkpoint.load(tmp_path / "best").figures["dev"]
    assert figures["entity_f1"] == figures["tag_accuracy"] == 1.0
    assert figures["entities"] == 2
    assert (tmp_path / "best" / "confusion_dev.png").is_file()
