"""Plots of confusion matrices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.plots.names import in_any_script, numbered

INCHES_A_CHARACTER = 0.09
COUNT = 10  # width, in characters, of a label's number of texts


def draw_confusion(path: Path, title: str, labels: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Draw a confusion matrix. Labels that its font cannot draw are numbered, and listed in a text file beside it.

    Args:
        path: File of the picture.
        title: Title of the picture.
        labels: Names of rows and columns.
        counts: Confusion matrix, int64 (labels, labels). Rows are true labels.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names, hidden = numbered(labels)
    beside = INCHES_A_CHARACTER * max(map(len, names))
    size = 0.45 * len(labels) + 1.8
    width = size + 1.4 + beside + INCHES_A_CHARACTER * COUNT
    figure = Figure(figsize=(max(width, 0.1 * len(title) + 1), size + beside), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            text = f"{100 * share:.0f}" if share >= 0.005 else "·"
            axis.text(
                column, row, text, ha="center", va="center", fontsize=8, color="white" if share > 0.6 else "black"
            )
    axis.set_xticks(range(len(labels)), names, rotation=90)
    axis.set_yticks(range(len(labels)), [f"{name} ({n:,})" for name, n in zip(names, counts.sum(axis=1), strict=True)])
    axis.set(xlabel="given", ylabel="true (how many)")
    figure.suptitle(title)
    figure.colorbar(image, label="share of the true label")
    with in_any_script():
        figure.savefig(path, dpi=110)
    listed = path.with_suffix(".labels.txt")
    listed.unlink(missing_ok=True)
    if hidden:
        listed.write_text("".join(f"{short} {name}\n" for short, name in hidden.items()), encoding="utf-8")


def confusion(labels: int, actual: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count how often each true label (rows) was predicted as each label (columns), int64 (labels, labels)."""
    return np.bincount(actual * labels + found, minlength=labels * labels).reshape(labels, labels)
