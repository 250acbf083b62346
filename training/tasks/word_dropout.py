"""Rare words become [UNK] in training, so that a model learns what to make of words that it does not know.

A word seen n times does with probability a / (a + n) (Kiperwasser and Goldberg 2016, arXiv:1603.04351, "word dropout";
their a is 0.25).
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from training.text.vocabulary import UNKNOWN_WORD_ID

Rarity = Annotated[
    float, Field(ge=0, description="a word seen n times becomes [UNK] with probability rarity / (rarity + n)")
]


def rates_by_rarity(counts: NDArray[np.generic], rarity: float) -> NDArray[np.float64]:
    """How often each word is dropped, (V,).

    Args:
        counts: How often it was seen, (V,); one that never was counts as seen once.
        rarity: a.
    """
    return np.asarray(rarity / (rarity + np.maximum(counts, 1)))


def drop(ids: NDArray[np.int64], rates: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Word ids with some replaced by that of [UNK], each as often as `rates` (V,) say of it."""
    return np.where(rng.random(ids.shape) < rates[ids], UNKNOWN_WORD_ID, ids)
