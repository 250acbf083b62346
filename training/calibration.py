"""Whether a classifier is right as often as its probabilities say (Guo et al., On Calibration of Modern Neural
Networks, ICML 2017)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15  # as in the paper


class Calibration(NamedTuple):
    """Texts by the probability of the label that each was given, in bins of equal width from 0 to 1.

    Attributes:
        counts: Texts in each bin, int64 (NUM_BINS,).
        said: Mean of their probabilities, float64 (NUM_BINS,). 0 in an empty bin.
        right: Share of them whose given label is the true one, float64 (NUM_BINS,). 0 in an empty bin.
    """

    counts: NDArray[np.int64]
    said: NDArray[np.float64]
    right: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error (equation 3), from 0 to 1: by how much the two differ, over all texts."""
        return float(np.average(np.abs(self.said - self.right), weights=self.counts))


def calibration(probabilities: NDArray[np.float64], is_right: NDArray[np.bool_]) -> Calibration:
    """Group texts by the probability of the label that each was given.

    Args:
        probabilities: float64 (N,), each above 0 and at most 1; N is at least 1.
        is_right: Whether the given label is the true one, bool (N,).
    """
    bins = np.ceil(probabilities * NUM_BINS).astype(np.int64) - 1
    counts = np.bincount(bins, minlength=NUM_BINS)
    said, right = (
        np.bincount(bins, weights=values, minlength=NUM_BINS) / np.maximum(counts, 1)
        for values in (probabilities, is_right)
    )
    return Calibration(counts, said, right)
