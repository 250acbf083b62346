"""Music as tokens, so that a language model is an exact likelihood of frames.

A frame is its sounding pitches, the lowest first, and a token that ends it: the probability of a frame is the product
of those of its tokens, each given all before it, as in NADE (Larochelle and Murray 2011). Since pitches ascend and
none sounds twice, every frame is one string of tokens only, and what cannot follow has probability 0: the
probabilities of all frames add up to 1.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.polyphony import HIGHEST, LOWEST, Frame, Piece

PITCHES = HIGHEST - LOWEST + 1
END_OF_FRAME = PITCHES
VOCABULARY_SIZE = PITCHES + 1


def tokens(piece: Piece) -> NDArray[np.int64]:
    """The token ids of a piece, int64 (T,), with the end of the frame before its first in front."""
    frames = ((*(pitch - LOWEST for pitch in frame), END_OF_FRAME) for frame in piece)
    return np.array([END_OF_FRAME, *(token for frame in frames for token in frame)])


def frames(ids: Sequence[int]) -> list[Frame]:
    """The frames that have ended in tokens, of which the first begins with the first token."""
    ended: list[Frame] = []
    pitches: list[int] = []
    for token in ids:
        if token == END_OF_FRAME:
            ended.append(tuple(pitches))
            pitches = []
        else:
            pitches.append(token + LOWEST)
    return ended


def transposed(ids: NDArray[np.int64], semitones: int) -> NDArray[np.int64]:
    """The tokens of the same piece in another key."""
    return np.where(ids == END_OF_FRAME, ids, ids + semitones)


def transpositions(ids: NDArray[np.int64], largest: int) -> range:
    """By how many semitones a piece may be moved, at most `largest`, without leaving the keyboard."""
    keys = ids[ids != END_OF_FRAME]
    lowest, highest = keys.min(initial=PITCHES - 1), keys.max(initial=0)
    return range(max(-largest, -int(lowest)), min(largest, PITCHES - 1 - int(highest)) + 1)


def successors() -> Tensor:
    """Which token (column) may follow which (row), bool (V, V): higher pitches, and the end of the frame, always."""
    row, column = torch.meshgrid(torch.arange(VOCABULARY_SIZE), torch.arange(VOCABULARY_SIZE), indexing="ij")
    return (column > row) | (row == END_OF_FRAME) | (column == END_OF_FRAME)
