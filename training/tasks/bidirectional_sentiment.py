"""The task sentiment-bidirectional: sentiment of whole texts, from word vectors and SST's phrases with five labels."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.data import sst2, sst_trees, word_vectors
from training.models.bidirectional_sentiment import BidirectionalSentimentModel, BidirectionalSentimentModelSettings
from training.models.sentiment import CLASSES
from training.settings import Settings
from training.tasks import classification, pretrained
from training.tasks.classification import Predictions
from training.tasks.sentiment import group_by_length
from training.tasks.task import Goal, TextTask
from training.text.vocabulary import UNKNOWN, word_tokenizer

Ids = NDArray[np.int64]

BUCKET_BATCHES = 64  # batches whose phrases are sorted by length together


class BidirectionalSentimentSettings(Settings):
    """Settings of a run."""

    model: BidirectionalSentimentModelSettings = BidirectionalSentimentModelSettings()
    rows: int = Field(default=64, ge=1, description="phrases in a batch")
    targets: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.02, 0.2, 0.5, 0.8, 0.98),
        min_length=sst_trees.NUM_LABELS,
        max_length=sst_trees.NUM_LABELS,
        description="target probability of positive for each label, from very negative to very positive",
    )
    neutral_share: float = Field(default=0.3, ge=0, le=1, description="share of neutral phrases read in an epoch")
    sentence_weight: float = Field(default=2.0, gt=0, description="weight of a whole sentence, relative to a phrase")
    word_dropout: float = Field(default=0.1, ge=0, lt=1, description="share of words that become [UNK] in training")
    vectors_rate: float = Field(
        default=0.2, ge=0, description="factor of the embeddings' learning rate; 0: they are frozen"
    )


class PhraseBatch(NamedTuple):
    """A batch of phrases, padded.

    Args:
        x: Word ids, int64 (N, T).
        lengths: Words of each phrase, int64 (N,).
        positive: Target probability of positive, float32 (N,).
        weights: Weight of each phrase in the loss, float32 (N,).
    """

    x: Tensor
    lengths: Tensor
    positive: Tensor
    weights: Tensor


class BidirectionalSentimentTask(TextTask[BidirectionalSentimentSettings]):
    """A classifier of SST-2 that reads whole texts, trained on the trees' phrases of all five labels."""

    name = "sentiment-bidirectional"
    settings_type = BidirectionalSentimentSettings
    sources = (sst_trees.SOURCE, word_vectors.SOURCE)
    goal = Goal("accuracy", "higher")
    throughput_unit = "word"
    units: ClassVar[dict[str, str]] = {
        "train_loss": "training loss, nats",
        "dev_loss": "cross entropy, nats",
        "dev_accuracy": "accuracy, share of sentences",
    }

    @cached_property
    def _phrases(self) -> dict[str, tuple[int, bool]]:
        """The distinct phrases, each with its most frequent label and whether it is a whole sentence."""
        labels: dict[str, Counter[int]] = {}
        loaded = sst_trees.load()
        for phrase in loaded:
            labels.setdefault(" ".join(phrase.words), Counter())[phrase.label] += 1
        sentences = {" ".join(phrase.words) for phrase in loaded if phrase.is_sentence}
        return {text: (found.most_common(1)[0][0], text in sentences) for text, found in labels.items()}

    def build_tokenizer(self) -> Tokenizer:
        """Build a tokenizer for the words of the training phrases and frequent English words that have a vector."""
        return word_tokenizer([*self._phrases, " ".join(sorted(word_vectors.whole_words()))])

    def build_model(self) -> BidirectionalSentimentModel:
        """Build a model with random weights."""
        return BidirectionalSentimentModel(self.tokenizer.get_vocab_size(), self.settings.model)

    def initialise(self, model: nn.Module) -> None:
        """Start the embedding from word vectors."""
        pretrained.start(model, self.tokenizer)

    def learning_rate_scale(self, name: str) -> float:
        """Scale the embedding's learning rate by `vectors_rate`, to keep it close to the word vectors."""
        return pretrained.learning_rate_scale(name, self.settings.vectors_rate)

    @cached_property
    def _train(self) -> tuple[list[Ids], NDArray[np.int64], NDArray[np.float32]]:
        """The ids, label and weight of each phrase."""
        texts = list(self._phrases)
        ids = [np.array(encoding.ids) for encoding in self.tokenizer.encode_batch(texts)]
        labels = np.array([label for label, _ in self._phrases.values()])
        weights = [self.settings.sentence_weight if is_sentence else 1.0 for _, is_sentence in self._phrases.values()]
        return ids, labels, np.array(weights, dtype=np.float32)

    @cached_property
    def _num_phrases(self) -> int:
        """Number of phrases in an epoch."""
        _, labels, _ = self._train
        return int((labels != sst_trees.NEUTRAL).sum()) + round(
            self.settings.neutral_share * int((labels == sst_trees.NEUTRAL).sum())
        )

    def batches_per_epoch(self) -> int:
        """Cover every phrase that is not neutral once, and some of the neutral ones (`neutral_share`)."""
        return -(-self._num_phrases // self.settings.rows)

    def train_batches(self, epoch: int) -> Iterator[PhraseBatch]:
        """Yield batches of phrases of about the same length, with word dropout."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        ids, labels, weights = self._train
        targets = np.array(self.settings.targets, dtype=np.float32)
        for chosen in self._drawn(rng):
            lengths = np.array([len(ids[i]) for i in chosen])
            x = np.zeros((len(chosen), lengths.max()), dtype=np.int64)
            for row, i in zip(x, chosen, strict=True):
                row[: len(ids[i])] = ids[i]
            x[rng.random(x.shape) < self.settings.word_dropout] = self.tokenizer.token_to_id(UNKNOWN)
            yield PhraseBatch(*map(torch.from_numpy, (x, lengths, targets[labels[chosen]], weights[chosen])))

    def _drawn(self, rng: np.random.Generator) -> Iterator[Ids]:
        """Yield the indices of the phrases of each batch, int64 (N,), bucketed by length."""
        ids, labels, _ = self._train
        neutral = rng.permutation(np.flatnonzero(labels == sst_trees.NEUTRAL))
        polar = np.flatnonzero(labels != sst_trees.NEUTRAL)
        order = rng.permutation(np.concatenate([polar, neutral[: self._num_phrases - len(polar)]]))
        rows, batches = self.settings.rows, []
        for start in range(0, len(order), BUCKET_BATCHES * rows):
            bucket = sorted(order[start : start + BUCKET_BATCHES * rows], key=lambda i: len(ids[i]))
            batches += [np.array(bucket[first : first + rows]) for first in range(0, len(bucket), rows)]
        for i in rng.permutation(len(batches)):
            yield batches[i]

    def count_items(self, batch: PhraseBatch) -> int:
        """Count the words."""
        return int(batch.lengths.sum())

    def loss(self, model: nn.Module, batch: PhraseBatch, carry: None) -> tuple[Tensor, None]:
        """Sum the weighted cross entropy to the target probabilities, and divide it by the rows of a full batch."""
        logits = model(batch.x, batch.lengths)
        losses = cross_entropy(logits, torch.stack([1 - batch.positive, batch.positive], dim=1), reduction="none")
        return (losses * batch.weights).sum() / self.settings.rows, carry

    def loss_weight(self, rows: PhraseBatch, batch: PhraseBatch) -> float:
        """Return 1, because the loss is a sum."""
        return 1.0

    def _predict(self, model: nn.Module, split: str) -> Iterator[Predictions]:
        """Yield labels and logits of the sentences of SST-2, in groups of the same length."""
        device = next(model.parameters()).device
        for group in group_by_length(self.tokenizer, sst2.load(split)):
            lengths = torch.full((len(group.ids),), group.ids.shape[1], device=device)
            yield group.labels, model(torch.from_numpy(group.ids).to(device), lengths).cpu()

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure accuracy, cross entropy and calibration of whole sentences."""
        return classification.figures(self._predict(model, split))

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw the confusion matrix, and how often probabilities are right."""
        classification.draw(directory, split, f"Sentiment, SST-2, {split}", CLASSES, self._predict(model, split))
