"""Figures of text classifiers: accuracy, cross entropy, confusion matrix."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.plots.confusion import confusion, draw_confusion

MOST_DRAWN = 50  # labels

Predictions = tuple[NDArray[np.int64], Tensor]  # true labels int64 (N,) and logits (N, classes) of some texts


def figures(predictions: Iterable[Predictions]) -> dict[str, float]:
    """Return accuracy, mean cross entropy in nats ("loss"), and the number of texts ("examples")."""
    correct, loss, examples = 0, 0.0, 0
    for labels, logits in predictions:
        target = torch.from_numpy(labels)
        correct += int((logits.argmax(dim=1) == target).sum())
        loss += float(cross_entropy(logits, target, reduction="sum"))
        examples += len(labels)
    return {"accuracy": correct / examples, "loss": loss / examples, "examples": float(examples)}


def draw(path: Path, title: str, classes: Sequence[str], predictions: Iterable[Predictions]) -> None:
    """Draw the confusion matrix, unless there are more than MOST_DRAWN labels."""
    if len(classes) > MOST_DRAWN:
        return
    predictions = list(predictions)
    actual = np.concatenate([labels for labels, _ in predictions])
    found = np.concatenate([logits.argmax(dim=1).numpy() for _, logits in predictions])
    draw_confusion(path, title, classes, confusion(len(classes), actual, found))
