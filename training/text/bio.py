"""BIO tags: B-person begins an entity, I-person continues it, O is outside of any (Ramshaw and Marcus 1995)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"


class Entity(NamedTuple):
    """Words `start` to `end`, which is not one of them, and what they name."""

    start: int
    end: int
    kind: str


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence, as the CoNLL evaluation counts them.

    An I- tag that continues no entity of its kind begins one.
    """
    found: list[Entity] = []
    for i, tag in enumerate(tags):
        position, _, kind = tag.partition("-")
        if position == "I" and found and found[-1].end == i and found[-1].kind == kind:
            found[-1] = found[-1]._replace(end=i + 1)
        elif tag != OUTSIDE:
            found.append(Entity(i, i + 1, kind))
    return found


class Match(NamedTuple):
    """How many entities there are, how many were found, and how many of these are right in extent and kind."""

    actual: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        """Share of what was found that is right; 0 where nothing was."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of what there is that was found; 0 where there is nothing."""
        return self.right / self.actual if self.actual else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / (self.found + self.actual) if self.found + self.actual else 0.0


def match(actual: Iterable[Sequence[str]], found: Iterable[Sequence[str]]) -> Match:
    """Compare the tags of sentences with those that a tagger has given them."""
    totals = [0, 0, 0]
    for tags, guesses in zip(actual, found, strict=True):
        there, guessed = set(entities(tags)), set(entities(guesses))
        for i, count in enumerate((len(there), len(guessed), len(there & guessed))):
            totals[i] += count
    return Match(*totals)
