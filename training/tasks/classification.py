"""Figures of text classifiers: accuracy, cross entropy, confusion matrix, calibration."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.calibration import Calibration, calibration
from training.plots.confusion import confusion, draw_confusion
from training.plots.reliability import draw_reliability

MOST_DRAWN = 50  # labels

Predictions = tuple[NDArray[np.int64], Tensor]  # true labels int64 (N,) and logits (N, classes) of some texts


def figures(predictions: Iterable[Predictions]) -> dict[str, float]:
    """Return accuracy, mean cross entropy in nats ("loss"), calibration error, and the number of texts ("examples")."""
    labels, logits = _joined(predictions)
    return {
        "accuracy": float((logits.argmax(dim=1) == labels).double().mean()),
        "loss": float(cross_entropy(logits, labels)),
        "calibration_error": _calibration(labels, logits).error,
        "examples": float(len(labels)),
    }


def draw(directory: Path, split: str, title: str, classes: Sequence[str], predictions: Iterable[Predictions]) -> None:
    """Draw how often probabilities are right, and the confusion matrix unless there are more than MOST_DRAWN labels."""
    labels, logits = _joined(predictions)
    draw_reliability(directory / f"calibration_{split}.png", title, _calibration(labels, logits))
    if len(classes) <= MOST_DRAWN:
        counts = confusion(len(classes), labels.numpy(), logits.argmax(dim=1).numpy())
        draw_confusion(directory / f"confusion_{split}.png", f"{title}, % of the true label", classes, counts)


def _joined(predictions: Iterable[Predictions]) -> tuple[Tensor, Tensor]:
    """Return labels, int64 (N,), and logits, float64 (N, classes), of all texts."""
    labels, logits = zip(*predictions, strict=True)
    return torch.from_numpy(np.concatenate(labels)), torch.cat(logits).double()


def _calibration(labels: Tensor, logits: Tensor) -> Calibration:
    probabilities, given = logits.softmax(dim=1).max(dim=1)
    return calibration(probabilities.numpy(), (given == labels).numpy())
