"""Word dropout: words become [UNK] at random in training, rare ones more often, so that a model can do without them.

The embedding of [UNK] is trained by it, where embeddings learn at all (`vectors_rate`).
A word seen n times becomes [UNK] with probability a / (a + n) (Kiperwasser and Goldberg 2016, arXiv:1603.04351; their a
is 0.25).
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
    """Probability of dropping each word, float64 (V,).

    Args:
        counts: How often each word was seen, (V,). 0 counts as 1.
        rarity: a.
    """
    return np.asarray(rarity / (rarity + np.maximum(counts, 1)))


def drop(ids: NDArray[np.int64], rates: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Replace word ids at random by that of [UNK], each with its probability in `rates` (V,)."""
    return np.where(rng.random(ids.shape) < rates[ids], UNKNOWN_WORD_ID, ids)
