"""Plots of attention."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def draw_attention(
    path: Path, title: str, source: Sequence[str], target: Sequence[str], weights: NDArray[np.float32]
) -> None:
    """Draw the attention weights of a translation.

    Args:
        path: File of the picture.
        title: Title of the picture.
        source: Pieces of the source.
        target: Pieces of the translation.
        weights: float32 (target, source). Rows add up to 1.
    """
    figure = Figure(figsize=(2.5 + 0.4 * len(source), 1.5 + 0.35 * len(target)), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(source)), source, rotation=60, ha="right")
    axis.set_yticks(range(len(target)), target)
    axis.set(title=title, xlabel="source, pieces of words", ylabel="translation, pieces of words")
    figure.colorbar(image, label="attention, share of each row")
    figure.savefig(path, dpi=110)
