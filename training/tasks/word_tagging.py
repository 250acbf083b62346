"""The base of the tasks tagging and entities: everything except the data and the figures."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.data import word_vectors
from training.data.source import DataError
from training.models.tagging import TaggingModel, TaggingModelSettings, Words
from training.settings import Settings
from training.tasks import pretrained, word_dropout
from training.tasks.tagged_sentences import Tagged, TaggedSentences
from training.tasks.task import NOT_PREDICTED, TextTask
from training.tasks.word_dropout import Rarity
from training.text.bio import OUTSIDE
from training.text.english import english_tokenizer

Ids = NDArray[np.int64]

EVALUATED_ROWS = 64


class TaggingSettings(Settings):
    """Settings of a run."""

    model: TaggingModelSettings = TaggingModelSettings()
    rows: int = Field(default=32, ge=1, description="sentences in a batch")
    min_count: int = Field(default=2, ge=1, description="occurrences from which a word has its own embedding")
    rarity: Rarity = 1.0
    joined_share: float = Field(
        default=0.0, ge=0, le=1, description="share of sentences that are joined with the next one"
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    auxiliary_weight: float = Field(default=0.0, ge=0, description="weight of the loss of each other kind of tag")
    outside_weight: float = Field(
        default=1.0, gt=0, description="weight of words outside entities, relative to others; only for BIO tags"
    )
    vectors: bool = Field(default=False, description="start from word vectors, and know all words that have one")
    vectors_rate: float = Field(
        default=1.0, ge=0, description="factor of the embeddings' learning rate; 0: they are frozen"
    )

    @model_validator(mode="after")
    def _one_process(self) -> Self:
        if self.loop.devices > 1:
            raise ValueError(
                "sentences of a batch share their spellings, so they cannot be split among devices: use loop.devices=1"
            )
        return self


class WordTaggingTask(TextTask[TaggingSettings]):
    """A tagger of words, trained on sentences."""

    settings_type = TaggingSettings
    tags: ClassVar[tuple[str, ...]]
    # Maximal number of values of each auxiliary kind of tag, for the model's size. Not counted in the data, because a
    # checkpoint must open without them.
    auxiliary: ClassVar[dict[str, int]] = {}

    @abstractmethod
    def sentences(self, split: str) -> list[Tagged]:
        """Load the sentences of "train", "dev" or "test"."""

    @cached_property
    def _train_sentences(self) -> list[Tagged]:
        return self.sentences("train")

    def build_tokenizer(self) -> Tokenizer:
        """Build a tokenizer for the words of the training sentences, and those with vectors if `vectors` is set."""
        words = list(chain.from_iterable(sentence.words for sentence in self._train_sentences))
        if self.settings.vectors:
            words += sorted(word_vectors.whole_words()) * self.settings.min_count
        return english_tokenizer(words, self.settings.min_count)

    def build_model(self) -> TaggingModel:
        """Build a model with random weights."""
        auxiliary = self.auxiliary if self.settings.auxiliary_weight else {}
        return TaggingModel(self.tokenizer.get_vocab_size(), len(self.tags), self.settings.model, auxiliary)

    def initialise(self, model: nn.Module) -> None:
        """Start the embedding from word vectors if `vectors` is set."""
        if self.settings.vectors:
            pretrained.start(model, self.tokenizer)

    def learning_rate_scale(self, name: str) -> float:
        """Scale the embedding's learning rate by `vectors_rate`, to keep it close to the word vectors."""
        return pretrained.learning_rate_scale(name, self.settings.vectors_rate)

    def numbered(self, sentences: Sequence[Tagged]) -> TaggedSentences:
        """Turn sentences into numbers."""
        return TaggedSentences(sentences, self.tokenizer, self.tags)

    @cached_property
    def _train(self) -> TaggedSentences:
        kinds = self.auxiliary if self.settings.auxiliary_weight else {}
        values = {kind: self._values(kind, size) for kind, size in kinds.items()}
        return TaggedSentences(self._train_sentences, self.tokenizer, self.tags, values)

    def _values(self, kind: str, size: int) -> list[str]:
        """Return the values of an auxiliary kind of tag. There must be at most `size`."""
        found = sorted(set(chain.from_iterable(sentence.other[kind] for sentence in self._train_sentences)))
        if len(found) > size:
            raise DataError(f"the training data have {len(found)} values of {kind}, and the model holds {size}")
        return found

    @cached_property
    def _drop_rates(self) -> NDArray[np.float64]:
        """Probability of [UNK] for each word, float64 (V,), so that the model learns to rely on characters."""
        counts = self._train.counts(self.tokenizer.get_vocab_size())
        return word_dropout.rates_by_rarity(counts, self.settings.rarity)

    def batches_per_epoch(self) -> int:
        """Cover all sentences, one per row. Some rows also hold the next one (`joined_share`)."""
        return -(-len(self._train) // self.settings.rows)

    def train_batches(self, epoch: int) -> Iterator[tuple[Words, Tensor]]:
        """Yield words and their targets, int64 (N, T, kinds of tags)."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        for rows in self._train.shuffled(self.settings.rows, self.settings.joined_share, rng):
            words, targets = self._train.batch(rows)
            dropped = word_dropout.drop(words.ids.numpy(), self._drop_rates, rng)
            yield words._replace(ids=torch.from_numpy(dropped)), targets

    def count_items(self, batch: tuple[Words, Tensor]) -> int:
        """Count the words."""
        words, _ = batch
        return int(words.lengths.sum())

    def loss(self, model: nn.Module, batch: tuple[Words, Tensor], carry: None) -> tuple[Tensor, None]:
        """Add the mean cross entropy of the tags and `auxiliary_weight` times that of each auxiliary kind."""
        words, targets = batch
        logits, others = model(words)
        smoothing = self.settings.label_smoothing
        total = _mean_loss(logits, targets[:, :, 0], self._tag_weights(logits), smoothing)
        for column, other in enumerate(others.values(), start=1):
            total = total + self.settings.auxiliary_weight * _mean_loss(other, targets[:, :, column])
        return total, carry

    def _tag_weights(self, logits: Tensor) -> Tensor:
        """Return the weight of each tag in the loss, (tags,)."""
        weights = logits.new_ones(logits.shape[-1])
        if OUTSIDE in self.tags:
            weights[self.tags.index(OUTSIDE)] = self.settings.outside_weight
        return weights

    def predict(
        self, model: nn.Module, sentences: TaggedSentences, rows: Sequence[Sequence[int]] | None = None
    ) -> list[Ids]:
        """Tag sentences.

        Args:
            model: The model, in evaluation mode.
            sentences: The sentences.
            rows: Indices of the sentences in each row, which are read as one. By default each is read alone.

        Returns:
            The tag ids of each sentence, int64 (T,).
        """
        device = next(model.parameters()).device
        found: dict[int, Ids] = {}
        rows = [[i] for i in range(len(sentences))] if rows is None else rows
        for batch in sentences.by_length(rows, EVALUATED_ROWS):
            words, _ = sentences.batch(batch)
            logits, _ = model(Words(*(tensor.to(device) for tensor in words)))
            for row, tags in zip(batch, logits.argmax(dim=2).cpu().numpy(), strict=True):
                ends = np.cumsum([len(sentences.ids[i]) for i in row])
                found.update(zip(row, np.split(tags[: ends[-1]], ends[:-1]), strict=True))
        return [found[i] for i in range(len(sentences))]

    def names(self, tag_ids: Any) -> list[str]:  # noqa: ANN401  # any array of integers
        """Return the names of tag ids."""
        return [self.tags[i] for i in tag_ids]


def _mean_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross entropy of the words (N, T) that have a target. 0 if none has."""
    losses = cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        weight=weights,
        ignore_index=NOT_PREDICTED,
        reduction="sum",
        label_smoothing=smoothing,
    )
    return losses / (targets != NOT_PREDICTED).sum().clamp(min=1)
