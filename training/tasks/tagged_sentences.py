"""Tagged sentences as numbers: word ids, spellings and targets, and batches of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.models.tagging import CHARACTERS, LONGEST_WORD, Words
from training.tasks.task import NOT_PREDICTED
from training.text.english import word_ids

Ids = NDArray[np.int64]

CHARACTER_IDS = {character: i for i, character in enumerate(CHARACTERS, start=1)}
BUCKET_BATCHES = 32  # batches whose sentences are sorted by length together


@dataclass(frozen=True)
class Tagged:
    """A sentence.

    Args:
        words: Its words.
        tags: The tag of each word.
        other: Other tags of each word, by kind, for auxiliary losses.
        is_continued: Whether the next sentence in the data set continues the same text.
    """

    words: Sequence[str]
    tags: Sequence[str]
    other: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_continued: bool = False


def spell(word: str) -> list[int]:
    """Return the ids of a word's characters. A word of more than LONGEST_WORD characters loses its middle."""
    if len(word) > LONGEST_WORD:
        word = word[: LONGEST_WORD // 2] + word[-LONGEST_WORD // 2 :]
    return [CHARACTER_IDS.get(character, 0) for character in word]


class TaggedSentences:
    """All sentences of a split, as numbers.

    Args:
        sentences: The sentences.
        tokenizer: Maps words to ids.
        tags: The tags, in the order of their ids.
        other: The values of each other kind of tag, in the order of their ids. Unlisted values become NOT_PREDICTED.
    """

    def __init__(
        self,
        sentences: Sequence[Tagged],
        tokenizer: Tokenizer,
        tags: Sequence[str],
        other: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        forms = sorted({word for sentence in sentences for word in sentence.words})
        numbers = {form: i for i, form in enumerate(forms)}
        ids = dict(zip(forms, word_ids(tokenizer, forms), strict=True))
        columns = [{tag: i for i, tag in enumerate(tags)}]
        columns += [{value: i for i, value in enumerate(values)} for values in (other or {}).values()]
        self.is_continued = [sentence.is_continued for sentence in sentences]
        self.ids = [np.array([ids[word] for word in sentence.words]) for sentence in sentences]
        self.spellings = [np.array([numbers[word] for word in sentence.words]) for sentence in sentences]
        self.targets = [self._targets(sentence, list(other or {}), columns) for sentence in sentences]
        spelt = [spell(form) for form in forms]
        self._spelling_lengths = np.array([len(characters) for characters in spelt])
        self._characters = np.zeros((len(forms), max(self._spelling_lengths)), dtype=np.int64)
        for row, characters in zip(self._characters, spelt, strict=True):
            row[: len(characters)] = characters

    @staticmethod
    def _targets(sentence: Tagged, kinds: Sequence[str], columns: Sequence[Mapping[str, int]]) -> Ids:
        """Return the target ids of a sentence, (T, columns)."""
        values = [sentence.tags, *(sentence.other[kind] for kind in kinds)]
        return np.array(
            [[ids.get(value, NOT_PREDICTED) for value in column] for ids, column in zip(columns, values, strict=True)]
        ).T

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tag_ids(self) -> list[Ids]:
        """The true tag ids of each sentence, int64 (T,)."""
        return [targets[:, 0] for targets in self.targets]

    def counts(self, vocabulary_size: int) -> Ids:
        """Count how often each word id occurs, int64 (V,)."""
        return np.bincount(np.concatenate(self.ids), minlength=vocabulary_size)

    def texts(self) -> list[list[int]]:
        """Return the indices of the sentences of each text, in order."""
        texts: list[list[int]] = [[]]
        for i, is_continued in enumerate(self.is_continued):
            texts[-1].append(i)
            if not is_continued:
                texts.append([])
        return texts if texts[-1] else texts[:-1]

    def batch(self, rows: Sequence[Sequence[int]]) -> tuple[Words, Tensor]:
        """Make a padded batch.

        Args:
            rows: Indices of the sentences in each row, which are read as one.

        Returns:
            The words, and their targets, int64 (N, T, columns). NOT_PREDICTED in the padding.
        """
        lengths = np.array([sum(len(self.ids[i]) for i in row) for row in rows])
        ids = self._filled(self.ids, rows, lengths, 0)
        spellings = self._filled(self.spellings, rows, lengths, 0)
        targets = self._filled(self.targets, rows, lengths, NOT_PREDICTED)
        used, places = np.unique(spellings, return_inverse=True)
        spelling_lengths = self._spelling_lengths[used]
        words = Words(
            ids=torch.from_numpy(ids),
            lengths=torch.from_numpy(lengths),
            spellings=torch.from_numpy(places.reshape(spellings.shape)),
            characters=torch.from_numpy(self._characters[used, : spelling_lengths.max()]),
            spelling_lengths=torch.from_numpy(spelling_lengths),
        )
        return words, torch.from_numpy(targets)

    @staticmethod
    def _filled(values: Sequence[Ids], rows: Sequence[Sequence[int]], lengths: Ids, filler: int) -> Ids:
        filled = np.full((len(rows), lengths.max(), *values[0].shape[1:]), filler, dtype=np.int64)
        for target, row, length in zip(filled, rows, lengths, strict=True):
            target[:length] = np.concatenate([values[i] for i in row])
        return filled

    def by_length(self, rows: Sequence[Sequence[int]], size: int) -> Iterator[Sequence[Sequence[int]]]:
        """Sort rows by length and yield them in batches of at most `size`."""
        lengths = [sum(len(self.ids[i]) for i in row) for row in rows]
        order = sorted(range(len(rows)), key=lambda row: lengths[row])
        for start in range(0, len(order), size):
            yield [rows[row] for row in order[start : start + size]]

    def shuffled(self, size: int, joined_share: float, rng: np.random.Generator) -> list[Sequence[Sequence[int]]]:
        """Put sentences into random batches of about the same length, joining some with the next of their text.

        Args:
            size: Rows in a batch.
            joined_share: Share of the continued sentences that are joined.
            rng: Random generator.

        Returns:
            For each batch, the indices of the sentences in each row.
        """
        is_joined = (rng.random(len(self)) < joined_share) & np.array(self.is_continued)
        rows = [[int(i), int(i) + 1] if is_joined[i] else [int(i)] for i in rng.permutation(len(self))]
        buckets = [rows[start : start + BUCKET_BATCHES * size] for start in range(0, len(rows), BUCKET_BATCHES * size)]
        batches = [batch for bucket in buckets for batch in self.by_length(bucket, size)]
        return [batches[i] for i in rng.permutation(len(batches))]
