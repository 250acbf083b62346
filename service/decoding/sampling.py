"""Random draws for sampling: a counter-based generator, so that a character's draw depends only on the seed and its
position. Pure."""

import hashlib
import secrets

import numpy as np
from numpy.typing import NDArray

_DRAWS_PER_COUNT = 4
_FLOAT32_BITS = 24
_DROPPED_BITS = np.uint64(64 - _FLOAT32_BITS)
_UNIT = 2.0**-_FLOAT32_BITS


class Draws:
    """The draws of a text, position by position: uniform in [0, 1).

    Philox 4×64 with ten rounds (Salmon et al., SC 2011): four draws per count, keyed by the seed.

    Args:
        seed: Seed of the text.
        position: Position of the first draw.
    """

    def __init__(self, seed: int, position: int) -> None:
        self._generator = np.random.Philox(key=seed)
        self._generator.advance(position // _DRAWS_PER_COUNT)
        self._generator.random_raw(position % _DRAWS_PER_COUNT)

    def take(self, count: int) -> NDArray[np.float32]:
        """Return the draws of the next positions, float32 (count,)."""
        bits = self._generator.random_raw(count)
        draws: NDArray[np.float32] = ((bits >> _DROPPED_BITS) * _UNIT).astype(np.float32)
        return draws


def drawn_seed() -> int:
    """Return a fresh seed from the operating system, of 53 bits so that JavaScript reads it exactly."""
    return secrets.randbits(53)


def derived_seed(secret: str, step: int) -> int:
    """Return the seed of a session's step that gives none: the same at every retry, unknown to others."""
    digest = hashlib.sha256(f"{secret}:{step}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
