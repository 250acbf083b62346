from pathlib import Path

import numpy as np
import pytest
import torch

from training import captions, checkpoint
from training.captions import Attributes
from training.command import main
from training.data import digits
from training.data.digits import Images, Labels
from training.models.caption import START, CaptionModelSettings
from training.tasks.caption import (
    CaptionBatch,
    CaptionSettings,
    CaptionTask,
    DistortionSettings,
    distort,
    shifted,
    with_all_shifts,
)
from training.tasks.task import NOT_PREDICTED

SETTINGS = CaptionSettings(
    rows=16, rounds=2, model=CaptionModelSettings(row_size=7, image_size=9, embedding_size=4, hidden_size=6)
)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> CaptionTask:
    """Bars of ink: the digit is the row of one that is missing."""

    def load(split: str) -> tuple[Images, Labels]:
        rng = np.random.default_rng(len(split))
        labels = np.arange(40) % 4
        images = np.zeros((40, 8, 8), dtype=np.float32)
        images[:, :, 2:6] = rng.choice([8, 11, 14], size=(40, 1, 1))  # thin, medium, bold
        images[np.arange(40), 2 * labels] = 0
        return images, labels

    monkeypatch.setattr(digits, "load", load)
    return CaptionTask(SETTINGS)


def test_batches_hold_every_image_in_each_round_with_a_sentence_of_its_own(task: CaptionTask) -> None:
    batches = list(task.train_batches(0))
    assert len(batches) == task.batches_per_epoch() == 6
    for images, x, y in batches:
        assert images.shape == (len(x), 8, 8)
        for row in range(len(x)):
            targets = y[row][y[row] != NOT_PREDICTED].tolist()
            assert targets[-1] == x[row, 0] == START
            assert x[row, 1 : len(targets)].tolist() == targets[:-1]
            words = [task.words[number] for number in targets[:-1]]
            assert captions.is_grammatical(words)
            said = captions.parse(words)
            digit = captions.DIGITS.index(str(said.digit))
            assert captions.attributes_of(images[row : row + 1].numpy(), np.array([digit])) == [said]


def test_items_are_the_words_that_are_predicted(task: CaptionTask) -> None:
    x = torch.zeros(2, 5, dtype=torch.int64)
    y = torch.tensor([[3, 4, START, NOT_PREDICTED, NOT_PREDICTED], [5, START, *[NOT_PREDICTED] * 3]])
    assert task.count_items(CaptionBatch(torch.zeros(2, 8, 8), x, y)) == 5


def test_epochs_differ_but_always_the_same_way(task: CaptionTask) -> None:
    first, again, other = (next(task.train_batches(epoch)) for epoch in (0, 0, 1))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_images_without_distortion_only_move() -> None:
    images = np.random.default_rng(1).uniform(0, 16, size=(30, 8, 8)).astype(np.float32)
    still = DistortionSettings(degrees=0, shear=0, stretch=0, gain=0)
    found = distort(images, still, np.random.default_rng(2))
    for image, moved in zip(images, found, strict=True):
        assert any(np.allclose(shifted(image[None], by)[0], moved, atol=1e-4) for by in (-1, 0, 1))


def test_a_distorted_image_is_still_one() -> None:
    images = np.full((50, 8, 8), 16, dtype=np.float32)
    found = distort(images, DistortionSettings(), np.random.default_rng(1))
    assert (found.dtype, found.shape) == (np.float32, (50, 8, 8))
    assert found.min() >= 0
    assert found.max() <= 16
    assert not np.array_equal(found[0], found[1])


def test_shifting_moves_columns_and_loses_what_leaves() -> None:
    images = np.arange(64, dtype=np.float32).reshape(1, 8, 8) + 1
    right, left = shifted(images, 1), shifted(images, -1)
    assert np.array_equal(right[0, :, 1:], images[0, :, :-1])
    assert np.array_equal(left[0, :, :-1], images[0, :, 1:])
    assert right[0, :, 0].sum() == left[0, :, -1].sum() == 0


def test_images_are_measured_at_all_places() -> None:
    images = np.ones((2, 8, 8), dtype=np.float32)
    placed, labels = with_all_shifts(images, np.array([3, 4]))
    assert placed.shape == (6, 8, 8)
    assert labels.tolist() == [3, 4] * 3


def test_figures_count_what_the_sentences_say(task: CaptionTask, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = with_all_shifts(*digits.load("dev"))
    expected = captions.attributes_of(images, labels)
    sentences = [captions.phrase(attributes, 0) for attributes in expected]
    wrong = Attributes("nine", expected[0].weight, expected[0].place)
    sentences[0] = captions.phrase(wrong, 1)
    sentences[1] = ["a", "four"]
    monkeypatch.setattr(task, "write", lambda *_: sentences)
    figures = task.evaluate(task.build_model(), "dev")
    assert figures["digit_accuracy"] == pytest.approx(1 - 2 / 120)
    assert figures["weight_accuracy"] == figures["place_accuracy"] == pytest.approx(1 - 1 / 120)
    assert figures["caption_accuracy"] == pytest.approx(1 - 2 / 120)
    assert figures["grammatical"] == pytest.approx(1 - 1 / 120)


@pytest.mark.usefixtures("task")
def test_trained_model_says_what_it_sees_and_is_measured_again_by_evaluate(tmp_path: Path) -> None:
    small = ["model.row_size=24", "model.image_size=48", "model.hidden_size=48", "model.dropout=0.0", "rows=20"]
    quick = ["rounds=8", "loop.epochs=14", "loop.learning_rate=0.02", "loop.ema_decay=none"]
    settings = [part for setting in [*small, *quick] for part in ("--set", setting)]
    assert main(["caption", "--output", str(tmp_path), *settings]) == 0
    trained = checkpoint.load(tmp_path / "best").figures["dev"]
    assert trained["caption_accuracy"] > 0.6
    assert trained["grammatical"] > 0.9
    (tmp_path / "best" / "figures.json").unlink()
    assert main(["evaluate", str(tmp_path / "best")]) == 0
    assert checkpoint.load(tmp_path / "best").figures["dev"] == trained


@torch.no_grad()
def test_evaluation_leaves_a_picture_of_sentences(task: CaptionTask, tmp_path: Path) -> None:
    task.plot(task.build_model().eval(), "dev", tmp_path)
    assert (tmp_path / "captions_dev.png").read_bytes().startswith(b"\x89PNG")
