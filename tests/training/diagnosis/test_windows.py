"""Windows of small made-up data; the real files are those of the tasks' own tests."""

import numpy as np
import pytest
import torch

from training.data import etth1, sst2, tinyshakespeare
from training.data.sst2 import Example
from training.diagnosis.windows import Characters, Readings, Words


def test_characters_are_windows_of_the_training_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tinyshakespeare, "load", lambda: "abcdefghij" * 10)
    problem = Characters(4)
    x, y = problem.windows(torch.tensor([0, 12]))
    assert x.shape == (2, 4)
    assert torch.equal((x[1] - x[0]) % 10, torch.full((4,), 2))
    assert torch.equal(y[:, 0], problem.windows(torch.tensor([1, 13]))[0][:, -1])
    assert problem.num_windows == 90 - 4


def test_words_are_phrases_of_one_length_and_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [Example("good good film", 1), Example("bad", 0), Example("bad bad film", 0)]
    monkeypatch.setattr(sst2, "load", {"train": examples}.__getitem__)
    x, y = Words(3).windows(torch.tensor([0, 1]))
    assert x.shape == (2, 3)
    assert y.tolist() == [[1], [0]]
    with pytest.raises(ValueError, match="no phrase of 2 words"):
        Words(2)


def test_readings_are_windows_of_every_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 9000
    hours = np.arange(rows, dtype=np.float64)
    table = etth1.Table(channels=("a", "b"), readings=np.stack([hours, -2 * hours], axis=1))
    monkeypatch.setattr(etth1, "load", lambda: table)
    problem = Readings(5)
    last = problem.num_windows - 1
    x, y = problem.windows(torch.tensor([0, last]))
    assert x.shape == (2, 5, 1)
    assert y.shape == (2, 1, 24)
    step = x[0, 1, 0] - x[0, 0, 0]
    torch.testing.assert_close(y[0, 0, 0] - x[0, 4, 0], step, rtol=0, atol=1e-4)
    torch.testing.assert_close(y[1, 0, 23] - x[1, 0, 0], -28 * step, rtol=0, atol=1e-3)
