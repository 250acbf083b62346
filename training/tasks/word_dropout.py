"""Word dropout: in training, words become [UNK] at random, so that a model does not depend on rare ones.

A word seen n times becomes [UNK] with probability a / (a + n) (Kiperwasser and Goldberg 2016, arXiv:1603.04351, with
a = 0.25). This also trains the embedding of [UNK], unless embeddings are frozen (`vectors_rate`).
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
    """Return the probability of dropping each word, float64 (V,).

    Args:
        counts: How often each word was seen, (V,). 0 counts as 1.
        rarity: a.
    """
    return np.asarray(rarity / (rarity + np.maximum(counts, 1)))


def drop(ids: NDArray[np.int64], rates: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Replace word ids by [UNK]'s at random, each with its probability in `rates` (V,)."""
    return np.where(rng.random(ids.shape) < rates[ids], UNKNOWN_WORD_ID, ids)
