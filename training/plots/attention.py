"""Where a translation looked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def draw_attention(
    path: Path, title: str, source: Sequence[str], target: Sequence[str], weights: NDArray[np.float32]
) -> None:
    """Draw where each piece of a translation looked.

    Args:
        path: Of the picture.
        title: Of the picture.
        source: Pieces that were read.
        target: Pieces that were written.
        weights: (target, source), each row adding up to 1.
    """
    figure = Figure(figsize=(2.5 + 0.4 * len(source), 1.5 + 0.35 * len(target)), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(source)), source, rotation=60, ha="right")
    axis.set_yticks(range(len(target)), target)
    axis.set(title=title, xlabel="source, pieces of words", ylabel="translation, pieces of words")
    figure.colorbar(image, label="attention, share of each row")
    figure.savefig(path, dpi=110)
