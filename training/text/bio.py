"""BIO tags: B-person begins an entity, I-person continues it, O is outside of entities (Ramshaw and Marcus 1995)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"


class Entity(NamedTuple):
    """An entity: the words from `start` to before `end`, and its type."""

    start: int
    end: int
    kind: str


def entities(tags: Sequence[str]) -> list[Entity]:
    """Parse the tags of a sentence into entities, as the CoNLL evaluation does.

    An I- tag that does not continue an entity of its type begins one.
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
    """The numbers of true entities, of predicted ones, and of predicted ones with the right extent and type."""

    actual: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        """Share of predicted entities that are right. 0 if none was predicted."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of true entities that were predicted. 0 if there are none."""
        return self.right / self.actual if self.actual else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / (self.found + self.actual) if self.found + self.actual else 0.0


def match(actual: Iterable[Sequence[str]], found: Iterable[Sequence[str]]) -> Match:
    """Compare the true tags of sentences with predicted ones."""
    totals = [0, 0, 0]
    for tags, guesses in zip(actual, found, strict=True):
        there, guessed = set(entities(tags)), set(entities(guesses))
        for i, count in enumerate((len(there), len(guessed), len(there & guessed))):
            totals[i] += count
    return Match(*totals)
