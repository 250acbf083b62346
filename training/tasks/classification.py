"""How well texts are classified: figures and a picture of which labels are taken for which."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.plots.confusion import confusion, draw_confusion

MOST_DRAWN = 50  # labels

Judged = tuple[NDArray[np.int64], Tensor]  # labels int64 (N,) and logits (N, classes) of some texts


def figures(judged: Iterable[Judged]) -> dict[str, float]:
    """Accuracy, cross entropy in nats, and the number of texts."""
    correct, loss, examples = 0, 0.0, 0
    for labels, logits in judged:
        target = torch.from_numpy(labels)
        correct += int((logits.argmax(dim=1) == target).sum())
        loss += float(cross_entropy(logits, target, reduction="sum"))
        examples += len(labels)
    return {"accuracy": correct / examples, "loss": loss / examples, "examples": float(examples)}


def draw(path: Path, title: str, classes: Sequence[str], judged: Iterable[Judged]) -> None:
    """Draw how often each label is taken for each other, where there are not too many to be seen."""
    if len(classes) > MOST_DRAWN:
        return
    judged = list(judged)
    actual = np.concatenate([labels for labels, _ in judged])
    found = np.concatenate([logits.argmax(dim=1).numpy() for _, logits in judged])
    draw_confusion(path, title, classes, confusion(len(classes), actual, found))
