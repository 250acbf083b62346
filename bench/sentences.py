"""Texts as long as SST's sentences.

With UNROLLED_DATA_DIR they are the sentences of SST-2's dev part. Without it, they are random words of the shipped
sentiment bundle's vocabulary, with log-normal lengths of the same mean and deviation: 19 words and 9.
"""

import math
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bench.baselines import MODELS
from training.data import sst2

MEAN_WORDS, DEVIATION_WORDS = 19.0, 9.0


def sentences(count: int) -> list[str]:
    """Draw `count` texts with replacement."""
    generator = np.random.default_rng(0)
    if not os.environ.get("UNROLLED_DATA_DIR"):
        return _drawn(count, generator)
    known = [example.sentence for example in sst2.load("dev")]
    return [known[index] for index in generator.integers(0, len(known), count)]


def word_ids(texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Tokenize texts as the sentiment bundle does, int64 (T,) each."""
    encodings = _tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def lognormal_lengths(count: int, generator: np.random.Generator) -> list[int]:
    """Draw lengths with SST's mean and deviation, at least 1."""
    variance = math.log(1 + (DEVIATION_WORDS / MEAN_WORDS) ** 2)
    drawn = generator.lognormal(math.log(MEAN_WORDS) - variance / 2, math.sqrt(variance), count)
    return [max(1, round(length)) for length in drawn.tolist()]


def _drawn(count: int, generator: np.random.Generator) -> list[str]:
    words = sorted(word for word in _tokenizer().get_vocab() if word.isalpha())
    return [
        " ".join(words[index] for index in generator.integers(0, len(words), length))
        for length in lognormal_lengths(count, generator)
    ]


def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(MODELS / "sentiment" / "tokenizer.json"))
