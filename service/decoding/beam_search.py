"""Beam search for the most probable translation of one sentence. Pure: it knows no graph and no text.

It keeps the `beams` most probable unfinished hypotheses. Of their 2 `beams` best continuations, those that end within
the first `beams` are finished; the best of the others live on. The search is over when `beams` hypotheses are finished,
or at the greatest length. The best is the one with the highest score,

    score = log p(y) / |y|^a,    |y| with the end    (Wu et al. 2016, arXiv:1609.08144, section 7, in its simplest form)

and the most probable unfinished one where none has ended. Equal candidates go by their parent's rank, then by their
piece's: nothing is left to chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """A translation or the beginning of one.

    Attributes:
        pieces: Its pieces, without start and end.
        log_prob: Of all of them, and of the end where it has ended, in nats.
        parents: For each of these, the rank among the live hypotheses of the one that it went on from.
    """

    pieces: tuple[int, ...] = ()
    log_prob: float = 0.0
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Candidates:
    """What may follow a hypothesis: the most probable pieces, the best first, with their log-probabilities.

    There must be twice as many as beams, or all that there are.
    """

    pieces: Sequence[int]
    log_probs: Sequence[float]


class BeamSearch:
    """The search for one sentence.

    Attributes:
        live: Unfinished hypotheses, the most probable first; the empty one at the start.

    Args:
        beams: How many hypotheses are kept.
        end: The piece that ends a translation.
        max_length: The most pieces that a translation may have, its end included.
        length_penalty: a.
    """

    def __init__(self, beams: int, end: int, max_length: int, length_penalty: float) -> None:
        self._beams = beams
        self._end = end
        self._max_length = max_length
        self._length_penalty = length_penalty
        self._length = 0
        self._finished: list[Hypothesis] = []
        self.live: list[Hypothesis] = [Hypothesis()]

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to try."""
        return len(self._finished) >= self._beams or self._length >= self._max_length

    def extend(self, candidates: Sequence[Candidates]) -> None:
        """Go on by one piece.

        Args:
            candidates: What may follow each of `live`.
        """
        self._length += 1
        ranked = sorted(
            (-(parent.log_prob + log_prob), rank, position, piece)
            for rank, (parent, following) in enumerate(zip(self.live, candidates, strict=True))
            for position, (piece, log_prob) in enumerate(zip(following.pieces, following.log_probs, strict=True))
        )[: 2 * self._beams]
        former, self.live = self.live, []
        for place, (negative, rank, _, piece) in enumerate(ranked):
            parent, log_prob = former[rank], -negative
            if piece != self._end:
                if len(self.live) < self._beams:
                    self.live.append(Hypothesis((*parent.pieces, piece), log_prob, (*parent.parents, rank)))
            elif place < self._beams:
                self._finished.append(Hypothesis(parent.pieces, log_prob, (*parent.parents, rank)))

    def best(self) -> Hypothesis:
        """The hypothesis with the highest score, once the search is over. Of equal ones, the first that ended."""
        return max(self._finished or self.live, key=self.score)

    def score(self, hypothesis: Hypothesis) -> float:
        """By which hypotheses of different lengths compare."""
        return hypothesis.log_prob / math.pow(len(hypothesis.parents), self._length_penalty)


def max_length(source_length: int) -> int:
    """The most pieces that a translation may have, its end included."""
    return 2 * source_length + 10
