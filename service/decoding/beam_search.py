"""Beam search for the most probable translation of one sentence. Pure: knows neither graph nor text.

It keeps the `beams` most probable unfinished hypotheses. Among their 2 `beams` best continuations, those within the
first `beams` that end are finished; the best `beams` of the others live on. The search is over when `beams` hypotheses
are finished, or at the maximum length. The result is the finished hypothesis with the highest score,

    score = log p(y) / |y|^a,    |y| counts the end  (Wu et al. 2016, arXiv:1609.08144, section 7, in its simplest form)

or, if none has finished, the unfinished one with the highest score. Ties are broken by the parent's rank, then by the
piece's, so the search is deterministic.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """A translation or the beginning of one.

    Attributes:
        pieces: Its pieces, without start and end.
        log_prob: Log-probability of its pieces, and of the end if it has ended, in nats.
        parents: For each of its pieces, and the end, the rank of the live hypothesis that it extended.
    """

    pieces: tuple[int, ...] = ()
    log_prob: float = 0.0
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Candidates:
    """The most probable next pieces of a hypothesis, the best first, with their log-probabilities.

    There must be twice as many as beams, or the whole vocabulary.
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
        max_length: The maximum number of pieces of a translation, including its end.
        length_penalty: The exponent a of the score.
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
        """Whether the search is over."""
        return len(self._finished) >= self._beams or self._length >= self._max_length

    def extend(self, candidates: Sequence[Candidates]) -> None:
        """Extend the hypotheses by one piece.

        Args:
            candidates: The candidates of each of `live`.
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
        """Return the hypothesis with the highest score, once the search is over; of equals, the first to end."""
        return max(self._finished or self.live, key=self.score)

    def score(self, hypothesis: Hypothesis) -> float:
        """Return a hypothesis's length-normalised log-probability."""
        return hypothesis.log_prob / math.pow(len(hypothesis.parents), self._length_penalty)


def max_length(source_length: int) -> int:
    """Return the maximum number of pieces of a translation, including its end."""
    return 2 * source_length + 10
