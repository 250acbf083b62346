"""Vectors of words from their characters, computed by a tagger's stages over characters.

Each word is its own row, so words of all texts under way share the runs. Most words recur: their vectors are cached,
with the same bits as computed ones, since a row does not depend on its batch.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.bundle.stage import Stage
from service.concurrency.waiting import together
from service.engine.engine import Engine
from service.engine.state import RowLayout
from service.media.words import CharacterVocabulary, Ids

MAX_CACHED_WORDS = 20_000
MAX_CACHED_CHARACTERS = 100  # longer words seldom recur, and 20,000 words of 1,000 characters would take 80 MB
# The most words that one request has waiting, with a row for each stage, so that others find room.
MAX_WAITING_WORDS = 256

Features = NDArray[np.float32]


class CharacterEncoder:
    """Encodes words from their characters.

    Args:
        engine: Runs the stages.
        layout: Layout of a state row.
        stages: The stages over characters, in the order in which their vectors are joined.
        vocabulary: Maps words to character ids.
    """

    def __init__(
        self, engine: Engine, layout: RowLayout, stages: Sequence[Stage], vocabulary: CharacterVocabulary
    ) -> None:
        self._engine = engine
        self._layout = layout
        self._stages = stages
        self._vocabulary = vocabulary
        self._cached: OrderedDict[str, Features] = OrderedDict()

    async def vectors(self, words: Iterable[str]) -> Mapping[str, Features]:
        """Return the vector of each word, float32 (C,), by word."""
        distinct = dict.fromkeys(words)
        known = {word: self._cached[word] for word in distinct if word in self._cached}
        new = [word for word in distinct if word not in known]
        for start in range(0, len(new), MAX_WAITING_WORDS):
            some = new[start : start + MAX_WAITING_WORDS]
            known.update(zip(some, await self._read(some), strict=True))
        self._cache(known)
        return known

    async def _read(self, words: Sequence[str]) -> Iterator[Features]:
        self._engine.check_rows(len(words), len(self._stages), "new words")
        ids_of_words = [self._vocabulary.ids(word) for word in words]
        parts = await together(self._read_with(stage, ids_of_words) for stage in self._stages)
        return (np.concatenate(vectors) for vectors in zip(*parts, strict=True))

    async def _read_with(self, stage: Stage, ids_of_words: Sequence[Ids]) -> list[Features]:
        """Return the final hidden state of each word: after its last character, or its first in a backward stage."""
        is_backward = stage.direction == "backward"
        inputs = [{"x": np.ascontiguousarray(ids[::-1]) if is_backward else ids} for ids in ids_of_words]
        rows = [self._layout.initial] * len(ids_of_words)
        ends = await self._engine.advance_all(stage.name, rows, inputs, [len(ids) for ids in ids_of_words])
        return [self._layout.tensor(end.row, f"{stage.name}_h") for end in ends]

    def _cache(self, known: dict[str, Features]) -> None:
        for word, vector in known.items():
            if len(word) <= MAX_CACHED_CHARACTERS:
                self._cached[word] = vector
                self._cached.move_to_end(word)
        while len(self._cached) > MAX_CACHED_WORDS:
            self._cached.popitem(last=False)
