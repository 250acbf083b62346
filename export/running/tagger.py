"""Tags whole sentences with a tagging bundle's graphs, to measure their quality."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from export.running.directions import Features, logits, run_stage
from export.running.rungs import Rungs
from export.stages import Arrays
from service.bundle.manifest import Bundle
from service.bundle.tasks import TaggingTask
from service.media.words import CharacterVocabulary, Ids, WordReader
from training.models.tagging import OVER_CHARACTERS


class GraphTagger:
    """Tags sentences with a bundle's graphs.

    Args:
        bundle: A bundle for tagging.
        rungs: Its opened graphs.
    """

    def __init__(self, bundle: Bundle, rungs: Rungs) -> None:
        self._task = cast(TaggingTask, bundle.manifest.task)
        self._rungs = rungs
        self._reader = WordReader(bundle.file(self._task.tokenizer))
        self._characters = CharacterVocabulary(self._task.characters, self._task.longest_word)

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return the most probable tag of each word."""
        spelt = self._spelt({word for sentence in sentences for word in sentence})
        found: dict[int, list[str]] = {}
        for group in _by_length(sentences):
            inputs: Arrays = {
                "x": np.stack([self._reader.ids(sentences[i]) for i in group]),
                "characters": np.array([[spelt[word] for word in sentences[i]] for i in group]),
            }
            tags = logits(self._rungs, inputs).argmax(axis=2)
            found.update((i, [self._task.tags[tag] for tag in row]) for i, row in zip(group, tags, strict=True))
        return [found[i] for i in range(len(sentences))]

    def _spelt(self, words: set[str]) -> Mapping[str, Features]:
        """Return the character features of each word, float32 (C,)."""
        ordered = sorted(words)
        ids = [self._characters.ids(word) for word in ordered]
        vectors: dict[str, Features] = {}
        for group in _by_length(ids):
            vectors.update(
                zip((ordered[i] for i in group), spell(self._rungs, np.stack([ids[i] for i in group])), strict=True)
            )
        return vectors


def spell(rungs: Rungs, characters: Ids) -> Features:
    """Return the features, float32 (N, C), of spellings of K characters, int64 (N, K)."""
    stages = [name for name in OVER_CHARACTERS if name in rungs.stages]
    return np.concatenate([_ends(rungs, stage, {"x": characters}) for stage in stages], axis=1)


def _ends(rungs: Rungs, stage: str, inputs: Arrays) -> Features:
    """Return the features after the last item that a stage reads, float32 (N, C)."""
    features = run_stage(rungs, stage, inputs, "features")
    return features[:, 0 if rungs.stages[stage].direction == "backward" else -1]


def _by_length(rows: Sequence[Sequence[str]] | Sequence[Ids]) -> Iterator[list[int]]:
    """Yield the indices of rows of the same length, shortest first."""
    lengths = [len(row) for row in rows]
    for length in sorted(set(lengths)):
        yield [i for i, found in enumerate(lengths) if found == length]
