"""Plots of a character model's loss."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def octaves(length: int) -> list[slice]:
    """Group positions 0 to length - 1 by powers of two: 0, 1, 2-3, 4-7, .."""
    edges = [0, *(2**k for k in range(length.bit_length()) if 2**k < length), length]
    return [slice(start, end) for start, end in pairwise(edges)]


def draw_losses(path: Path, losses: NDArray[np.float32], split: str) -> None:
    """Draw the loss by position since a reset, with its standard error: how far back the model's memory helps.

    A single row has no standard error.

    Args:
        path: File of the picture.
        losses: Nats of each character, float32 (N, T), each row from a fresh state.
        split: Name of the split, for the title.
    """
    groups = octaves(losses.shape[1])
    means = [losses[:, group].mean() for group in groups]
    # Characters of a row are dependent, so its mean counts as one observation.
    ddof = min(1, len(losses) - 1)
    errors = [losses[:, group].mean(axis=1).std(ddof=ddof) / np.sqrt(len(losses)) for group in groups]
    read = [(group.start + group.stop - 1) / 2 + 1 for group in groups]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    axis.errorbar(read, means, yerr=errors, marker="o", capsize=3)
    axis.set_xscale("log", base=2)
    axis.set(xlabel="characters read since the reset", ylabel="nats per character")
    axis.set_title(f"Loss by position on the {split} split, {len(losses)} resets")
    axis.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=120)
