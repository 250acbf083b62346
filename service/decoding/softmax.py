"""Logits as probabilities, in float64 over the last axis. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities, in nats."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities that sum to 1 along the last axis."""
    return np.exp(log_softmax(logits))
