"""Texts as long as SST's sentences: random words of the shipped sentiment bundle's vocabulary.

What padding costs depends on the spread of the lengths: of batches of 64 in random order, 44 % are words. Log-normal
lengths of the same mean and deviation would be 39 %.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bench.baselines import MODELS

# Of the 8,544 training sentences of SST (Socher et al., EMNLP 2013), how many have 1, 2, ... 52 words.
_COUNTS = """
0 40 96 152 154 231 218 228 265 298 305 308 319 334 353 334 327 342 351 325 312 317 296 290 259 238 223 226 171 157 158
151 124 123 99 69 54 61 38 31 40 24 24 20 18 11 3 8 8 4 4 3
"""
NUM_OF_LENGTH = [int(count) for count in _COUNTS.split()]


def sentences(count: int) -> list[str]:
    """Draw `count` texts."""
    generator = np.random.default_rng(0)
    words = sorted(word for word in _tokenizer().get_vocab() if word.isalpha())
    return [
        " ".join(words[index] for index in generator.integers(0, len(words), length))
        for length in drawn_lengths(count, generator)
    ]


def drawn_lengths(count: int, generator: np.random.Generator) -> list[int]:
    """Draw lengths as frequent as in SST, in words."""
    num_sentences = np.array(NUM_OF_LENGTH)
    lengths = np.arange(1, len(num_sentences) + 1)
    return [int(length) for length in generator.choice(lengths, count, p=num_sentences / num_sentences.sum())]


def word_ids(texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Tokenize texts as the sentiment bundle does, int64 (T,) each."""
    encodings = _tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(MODELS / "sentiment" / "tokenizer.json"))
