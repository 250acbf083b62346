"""What the stages of several recipes share: the ladder and vocabulary of texts, and realistic random inputs.

Parameters that a stage fixes come first, so that `partial` turns a function that draws into a `Draw`.
"""

from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from export.errors import NotServable
from export.stages import Array, Arrays, Sizes
from service.bundle.manifest import Bundle
from service.bundle.stage import TensorSpec
from service.bundle.tasks import SentimentTask, TaggingTask, TranslationTask

# Each call costs a hop to the engine's thread, which takes longer than the graph itself if there are few rows. With
# every power of two, 13 words are 3 calls, not 6 (docs/log.md).
TEXT_SIZES: Sizes = (1, 2, 4, 8, 16, 32)


def num_words(bundle: Bundle) -> int:
    """Return V, the number of words or subwords that a bundle's tokenizer knows.

    Raises:
        NotServable: The file is not a tokenizer.
    """
    file = bundle.file(cast(SentimentTask | TaggingTask | TranslationTask, bundle.manifest.task).tokenizer)
    try:
        return int(Tokenizer.from_file(str(file)).get_vocab_size())
    except Exception as error:  # the library raises nothing narrower
        raise NotServable(f"{bundle.tag}: {file.name} is not a tokenizer: {error}") from error


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


def draw_lengths(rng: np.random.Generator, N: int, T: int) -> NDArray[np.int64]:
    """Draw the lengths, int64 (N,), of rows that are padded to T items. The first is T."""
    return np.concatenate([[T], rng.integers(1, T + 1, size=N - 1)])


def draw_sampling(V: int, rng: np.random.Generator, N: int, K: int) -> Arrays:
    """Draw inputs of K sampling steps for N rows, with various settings. Rows stop at different steps."""
    return {
        "uniforms": rng.random((N, K), dtype=np.float32),
        "temperature": rng.choice(np.array([0.0, 0.5, 1.0, 1.7], dtype=np.float32), size=N),
        "top_k": rng.choice([1, 5, V], size=N),
        "top_p": rng.choice(np.array([0.3, 0.9, 1.0], dtype=np.float32), size=N),
        "remaining": rng.integers(K + 1, size=N),
    }
