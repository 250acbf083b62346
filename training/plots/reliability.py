"""Reliability diagrams: how often a classifier's probabilities are right."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.calibration import NUM_BINS, Calibration


def draw_reliability(path: Path, title: str, found: Calibration) -> None:
    """Draw how often the given label is right by the probability that it was given with.

    Args:
        path: File of the picture.
        title: Title of the picture, before the calibration error.
        found: What was counted.
    """
    is_used = found.counts > 0
    counts, said, right = (values[is_used] for values in found)
    figure = Figure(figsize=(6, 6), layout="constrained")
    shares, numbers = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    shares.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as often as said")
    errors = np.sqrt(right * (1 - right) / counts)
    shares.errorbar(said, right, yerr=errors, marker="o", capsize=3, label="measured, with its standard error")
    shares.set(ylabel="share that is right", xlim=(0, 1), ylim=(-0.02, 1.02))
    shares.legend(loc="upper left")
    numbers.bar((np.flatnonzero(is_used) + 0.5) / NUM_BINS, counts, width=0.9 / NUM_BINS)
    numbers.set(xlabel="probability of the given label", ylabel="texts")
    for axis in (shares, numbers):
        axis.grid(visible=True, alpha=0.3)
    figure.suptitle(f"{title}: calibration error {found.error:.3f}")
    figure.savefig(path, dpi=110)
