"""What stages that read tokens have in common."""

import numpy as np
from tokenizers import Tokenizer

from export.stages import Array, Arrays, Sizes
from service.bundle.manifest import Bundle

# Each call costs a hop to the engine's thread, which is more than the graph itself where few rows wait: texts have
# every power of two, so that 13 words are 3 calls, not 6 (docs/log.md).
TEXT_SIZES: Sizes = (1, 2, 4, 8, 16, 32)


def draw_ids(bundle: Bundle, rng: np.random.Generator, N: int, T: int) -> Arrays:
    """Tokens x (N, T) of the bundle's vocabulary."""
    return {"x": rng.integers(num_tokens(bundle), size=(N, T))}


def num_tokens(bundle: Bundle) -> int:
    """V, how many tokens a bundle for texts reads: characters, or the words of its tokenizer."""
    characters = getattr(bundle.manifest.task, "characters", None)
    return len(characters) if characters is not None else num_words(bundle)


def num_words(bundle: Bundle) -> int:
    return int(Tokenizer.from_file(str(bundle.file("tokenizer.json"))).get_vocab_size())


def draw_features(rng: np.random.Generator, N: int, T: int, C: int) -> Array:
    """Hidden states of a layer below, float32 (N, T, C)."""
    return rng.uniform(-1, 1, size=(N, T, C)).astype(np.float32)
