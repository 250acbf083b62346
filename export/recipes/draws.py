"""Realistic random inputs for the stages of several recipes.

Parameters that a stage fixes come first, so that `partial` turns a function into a `Draw`.
"""

from collections.abc import Iterable

import numpy as np

from export.stages import Array, Arrays
from service.bundle.stage import TensorSpec


def draw_items(inputs: Iterable[TensorSpec], V: int, rng: np.random.Generator, N: int, T: int) -> Arrays:
    """Draw inputs of a stage that reads items: ids int64 (N, T) below V, or features float32 (N, T, C)."""
    return {
        tensor.name: rng.integers(V, size=(N, T))
        if tensor.dtype == "int64"
        else draw_features(rng, N, T, int(tensor.shape[2]))
        for tensor in inputs
    }


def draw_features(rng: np.random.Generator, N: int, T: int, C: int) -> Array:
    """Draw hidden states of the layer below, float32 (N, T, C)."""
    return rng.uniform(-1, 1, size=(N, T, C)).astype(np.float32)


def draw_sampling(V: int, rng: np.random.Generator, N: int, K: int) -> Arrays:
    """Draw inputs of K sampling steps for N rows, with various settings. Rows stop at different steps."""
    return {
        "uniforms": rng.random((N, K), dtype=np.float32),
        "temperature": rng.choice(np.array([0.0, 0.5, 1.0, 1.7], dtype=np.float32), size=N),
        "top_k": rng.choice([1, 5, V], size=N),
        "top_p": rng.choice(np.array([0.3, 0.9, 1.0], dtype=np.float32), size=N),
        "remaining": rng.integers(K + 1, size=N),
    }
