"""Music as tokens, so that a language model gives exact likelihoods of frames.

The tokens of a frame are its sounding pitches, lowest first, and END_OF_FRAME. The probability of a frame is the
product of those of its tokens, each given all tokens before it, as in NADE (Larochelle and Murray 2011). Pitches ascend
strictly, so each frame has exactly one string of tokens, and tokens that cannot follow have probability 0: the
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
    """Return the token ids of a piece, int64 (T,). The first is END_OF_FRAME, as if a frame had just ended."""
    frames = ((*(pitch - LOWEST for pitch in frame), END_OF_FRAME) for frame in piece)
    return np.array([END_OF_FRAME, *(token for frame in frames for token in frame)])


def frames(ids: Sequence[int]) -> list[Frame]:
    """Parse tokens into frames. The first frame begins with the first token. An unfinished last one is left out."""
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
    """Transpose the tokens of a piece by semitones."""
    return np.where(ids == END_OF_FRAME, ids, ids + semitones)


def transpositions(ids: NDArray[np.int64], largest: int) -> range:
    """Return the transpositions, in semitones, at most `largest` up or down, that keep a piece on the keyboard."""
    keys = ids[ids != END_OF_FRAME]
    lowest, highest = keys.min(initial=PITCHES - 1), keys.max(initial=0)
    return range(max(-largest, -int(lowest)), min(largest, PITCHES - 1 - int(highest)) + 1)


def successors() -> Tensor:
    """Return which tokens (columns) may follow each token (row), bool (V, V).

    A pitch may be followed by higher pitches or the end of the frame, the end of a frame by any token.
    """
    row, column = torch.meshgrid(torch.arange(VOCABULARY_SIZE), torch.arange(VOCABULARY_SIZE), indexing="ij")
    return (column > row) | (row == END_OF_FRAME) | (column == END_OF_FRAME)
