"""Quantiles between the levels that a model was trained for. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def interpolate_quantiles(
    values: NDArray[np.float64], known: Sequence[float], asked: Sequence[float]
) -> NDArray[np.float64]:
    """Interpolate linearly between neighbouring levels. A known level is returned exactly.

    Args:
        values: float64 (T, known), increasing along the last axis.
        known: Levels of the values, increasing.
        asked: Requested levels, within the range of the known ones.

    Returns:
        float64 (T, asked).
    """
    levels = np.asarray(known)
    upper = np.clip(np.searchsorted(levels, asked), 1, len(levels) - 1)
    weight = (np.asarray(asked) - levels[upper - 1]) / (levels[upper] - levels[upper - 1])
    below, above = values[:, upper - 1], values[:, upper]
    return np.where(weight == 1.0, above, below + weight * (above - below))
