from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from training import checkpoint
from training.command import main
from training.data import sst2, sst_trees, word_vectors
from training.data.sst2 import Example
from training.data.sst_trees import Phrase
from training.models.bidirectional_sentiment import BidirectionalSentimentModelSettings
from training.tasks.bidirectional_sentiment import (
    BidirectionalSentimentSettings,
    BidirectionalSentimentTask,
    PhraseBatch,
)

TRAIN = [
    Phrase(("great",), 4),
    Phrase(("dull",), 0),
    Phrase(("film",), 2),
    Phrase(("the", "film"), 2),
    Phrase(("a", "great", "film"), 4, is_sentence=True),
    Phrase(("a", "dull", "film"), 0, is_sentence=True),
    Phrase(("rather", "great"), 3),
    Phrase(("rather", "dull"), 1),
    Phrase(("rather", "dull"), 1),
    Phrase(("rather", "dull"), 2),
]
DEV = [Example("the film is dull .", 0), Example("great", 1), Example("so dull", 0), Example("a great film", 1)]
SETTINGS = BidirectionalSentimentSettings(
    rows=3,
    neutral_share=0.5,
    word_dropout=0.0,
    model=BidirectionalSentimentModelSettings(embedding_size=5, hidden_size=7),
)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> BidirectionalSentimentTask:
    def load(words: list[str], size: int) -> np.ndarray:
        return np.random.default_rng(len(words)).normal(size=(len(words), size)).astype(np.float32)

    monkeypatch.setattr(sst_trees, "load", lambda: TRAIN)
    monkeypatch.setattr(sst2, "load", lambda _: DEV)
    monkeypatch.setattr(word_vectors, "load", load)
    monkeypatch.setattr(word_vectors, "whole_words", lambda: {"paris"})
    return BidirectionalSentimentTask(SETTINGS)


def test_items_are_words_without_what_fills_up_a_row(task: BidirectionalSentimentTask) -> None:
    lengths = torch.tensor([4, 1])
    batch = PhraseBatch(torch.zeros(2, 4, dtype=torch.int64), lengths, torch.ones(2), torch.ones(2))
    assert task.count_items(batch) == 5


def test_every_polar_phrase_is_read_once_an_epoch_and_a_share_of_neutral_ones(
    task: BidirectionalSentimentTask,
) -> None:
    batches = list(task.train_batches(0))
    assert len(batches) == task.batches_per_epoch() == 3
    read = Counter(round(float(target), 2) for _, _, targets, _ in batches for target in targets)
    assert read == {0.02: 2, 0.2: 1, 0.5: 1, 0.8: 1, 0.98: 2}  # "rather dull" mostly has label 1
    weights = {
        int(length): float(weight)
        for _, lengths, targets, weights in batches
        for length, target, weight in zip(lengths, targets, weights, strict=True)
        if target != 0.5
    }
    assert weights == {1: 1.0, 2: 1.0, 3: 2.0}


def test_frequent_words_are_known_and_all_begin_as_vectors(task: BidirectionalSentimentTask) -> None:
    assert {"paris", "dull"} < set(task.tokenizer.get_vocab())
    model = task.build_model()
    task.initialise(model)
    assert float(model.embedding.weight.detach().std(unbiased=False)) == pytest.approx(0.3, rel=1e-4)
    assert (task.learning_rate_scale("embedding.weight"), task.learning_rate_scale("head.weight")) == (0.2, 1.0)


@torch.no_grad()
def test_small_batches_count_by_their_rows(task: BidirectionalSentimentTask) -> None:
    model = task.build_model().eval()
    x, lengths = torch.tensor([[1, 2]] * 3), torch.tensor([2, 2, 2])
    batch = PhraseBatch(x, lengths, torch.full((3,), 0.8), torch.ones(3))
    whole, _ = task.loss(model, batch, None)
    part, _ = task.loss(model, PhraseBatch(*(values[:1] for values in batch)), None)
    torch.testing.assert_close(part, whole / 3)


@pytest.mark.usefixtures("task")
def test_trained_model_knows_words_that_it_has_seen(tmp_path: Path) -> None:
    small = ["rows=3", "model.hidden_size=7", "model.embedding_size=5", "loop.epochs=15", "loop.learning_rate=0.03"]
    settings = [part for setting in [*small, "loop.ema_decay=none"] for part in ("--set", setting)]
    assert main(["sentiment-bidirectional", "--output", str(tmp_path), *settings]) == 0
    assert checkpoint.load(tmp_path / "best").figures["dev"]["accuracy"] == 1.0
    assert (tmp_path / "best" / "confusion_dev.png").is_file()
    assert (tmp_path / "best" / "calibration_dev.png").is_file()
