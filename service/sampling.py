"""The chance in a sampled text: a counter-based generator, so that a character's draw depends on nothing but the seed
and its position. Pure."""

import hashlib
import secrets

import numpy as np
from numpy.typing import NDArray

_DRAWS_PER_COUNT = 4
_FLOAT32_BITS = 24


def uniforms(seed: int, position: int, count: int) -> NDArray[np.float32]:
    """The draws for positions `position` to `position + count - 1` of a text.

    Philox 4×64 with ten rounds (Salmon et al., SC 2011): four draws a count, keyed by the seed.

    Returns:
        float32 (count,), uniform in [0, 1).
    """
    skipped = position % _DRAWS_PER_COUNT
    generator = np.random.Philox(key=seed)
    generator.advance(position // _DRAWS_PER_COUNT)
    bits = generator.random_raw(skipped + count)[skipped:]
    draws: NDArray[np.float32] = ((bits >> (64 - _FLOAT32_BITS)) * 2.0**-_FLOAT32_BITS).astype(np.float32)
    return draws


def drawn_seed() -> int:
    """A fresh seed from the operating system."""
    return secrets.randbits(63)


def derived_seed(secret: str, step: int) -> int:
    """The seed of a session's step that names none: the same at every retry, unknown to others."""
    digest = hashlib.sha256(f"{secret}:{step}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
