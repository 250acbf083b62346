"""The task sentiment: the label of a text after every word, learnt from SST-2's phrases or a user's own texts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.data import own_texts, sst2
from training.data.own_file import OwnFile
from training.data.own_texts import Empty
from training.data.source import DataError
from training.data.sst2 import Example
from training.models.sentiment import CLASSES, SentimentModel, SentimentModelSettings
from training.settings import Settings
from training.tasks import classification, word_dropout
from training.tasks.classification import Predictions
from training.tasks.task import Goal, TextTask
from training.tasks.word_dropout import Rarity
from training.text.vocabulary import word_tokenizer

Ids = NDArray[np.int64]

FEW_EXAMPLES = 30  # a share of fewer texts is uncertain by nearly 20 points


class OwnLabelledTexts(OwnFile):
    """A user's own CSV file, instead of SST-2."""

    text: str = Field(description="column of texts")
    label: str = Field(description="column of labels")
    labels: tuple[str, ...] = Field(min_length=2)
    empty: Empty = Field(default="refuse", description="how to treat rows without a text or a label: refuse or skip")


class SentimentSettings(Settings):
    """Settings of a run."""

    own: OwnLabelledTexts | None = None
    model: SentimentModelSettings = SentimentModelSettings()
    rows: int = Field(default=64, ge=1, description="texts in a batch")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    rarity: Rarity = 1.0
    word_dropout: float = Field(default=0.0, ge=0, lt=1, description="share of all words that become [UNK] in addition")


class SentimentTask(TextTask[SentimentSettings]):
    """A classifier that reads from left to right: of SST-2, trained on its phrases, or of a user's own texts."""

    name = "sentiment"
    settings_type = SentimentSettings
    sources = (sst2.SOURCE,)
    goal = Goal("accuracy", "higher")
    throughput_unit = "word"
    units: ClassVar[dict[str, str]] = {
        "train_loss": "training loss, nats",
        "dev_loss": "cross entropy, nats",
        "dev_accuracy": "accuracy, share of sentences",
    }

    def __init__(self, settings: SentimentSettings, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(settings, tokenizer)
        if settings.own is not None:
            self.sources = (settings.own.source,)
            # With few texts, accuracy may be the same in many epochs while the model still learns.
            self.goal = replace(self.goal, tie_breaker="loss")

    @property
    def _classes(self) -> tuple[str, ...]:
        return self.settings.own.labels if self.settings.own is not None else CLASSES

    @cached_property
    def _train_examples(self) -> list[Example]:
        return self._load("train")

    def _load(self, split: str) -> list[Example]:
        own = self.settings.own
        if own is None:
            return sst2.load(split)
        own.check_unchanged()
        splits = own_texts.read(Path(own.path), own.text, own.label, own.encoding, own.empty).splits
        if split not in splits:
            raise DataError(f"{own.path} has no {split} split, only {' and '.join(splits)}")
        return splits[split]

    def build_tokenizer(self) -> Tokenizer:
        """Build a tokenizer for the words of the training texts."""
        return word_tokenizer(example.sentence for example in self._train_examples)

    def build_model(self) -> SentimentModel:
        """Build a model with random weights."""
        return SentimentModel(self.tokenizer.get_vocab_size(), self.settings.model, self._classes)

    @cached_property
    def _train_groups(self) -> list["LengthGroup"]:
        return group_by_length(self.tokenizer, self._train_examples)

    @cached_property
    def _drop_rates(self) -> NDArray[np.float64]:
        """Probability of [UNK] for each word, float64 (V,)."""
        counts = np.zeros(self.tokenizer.get_vocab_size())
        for group in self._train_groups:
            counts += np.bincount(group.ids.ravel(), minlength=len(counts))
        by_rarity = word_dropout.rates_by_rarity(counts, self.settings.rarity)
        return np.asarray(1 - (1 - by_rarity) * (1 - self.settings.word_dropout))

    def batches_per_epoch(self) -> int:
        """Cover every text once, in batches of the same length."""
        return sum(-(-len(group.labels) // self.settings.rows) for group in self._train_groups)

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield word ids, int64 (N, T), and labels, int64 (N,).

        All texts of a batch have the same length, so nothing is padded or masked.
        """
        rng = np.random.default_rng([self.settings.seed, epoch])
        batches = [batch for group in self._train_groups for batch in group.batches(self.settings.rows, rng)]
        for i in rng.permutation(len(batches)):
            ids, labels = batches[i]
            dropped = word_dropout.drop(ids, self._drop_rates, rng)
            yield torch.from_numpy(dropped), torch.from_numpy(labels)

    def count_items(self, batch: tuple[Tensor, Tensor]) -> int:
        """Count the words."""
        return batch[0].numel()

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor], carry: None) -> tuple[Tensor, None]:
        """Sum the cross entropy after the last word, divided by the rows of a full batch: small ones count less."""
        x, labels = batch
        logits, _ = model(x)
        total = cross_entropy(logits[:, -1], labels, reduction="sum", label_smoothing=self.settings.label_smoothing)
        return total / self.settings.rows, carry

    def loss_weight(self, rows: tuple[Tensor, Tensor], batch: tuple[Tensor, Tensor]) -> float:
        """Return 1, because the loss is a sum."""
        return 1.0

    def _predict(self, model: nn.Module, split: str) -> Iterator[Predictions]:
        """Yield labels and logits after the last word, in groups of texts of the same length."""
        device = next(model.parameters()).device
        for group in group_by_length(self.tokenizer, self._load(split)):
            yield group.labels, model(torch.from_numpy(group.ids).to(device))[0][:, -1].cpu()

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure accuracy, cross entropy and calibration of whole sentences, after their last word."""
        return classification.figures(self._predict(model, split))

    def verdict(self, figures: Mapping[str, float]) -> str:
        """Say whether a user's own texts are judged better than by always giving the commonest label."""
        if self.settings.own is None:
            return ""
        ((commonest, _),) = Counter(example.label for example in self._train_examples).most_common(1)
        examples = self._load("dev")
        right, naive = round(figures["accuracy"] * len(examples)), sum(each.label == commonest for each in examples)
        measured = (
            f"right for {right} of {len(examples)} texts; always {self._classes[commonest]!r} is right for {naive}"
        )
        doubt = "; so few texts say little" if len(examples) < FEW_EXAMPLES else ""
        advice = "" if right > naive else "; more texts or more epochs may help"
        return f"{measured}{doubt}{advice}"

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw the confusion matrix, and how often probabilities are right."""
        title = f"{'Texts' if self.settings.own else 'Sentiment, SST-2'}, {split}"
        classification.draw(directory, split, title, self._classes, self._predict(model, split))


class LengthGroup:
    """All texts of the same length.

    Args:
        ids: Word ids, int64 (N, T).
        labels: int64 (N,).
    """

    def __init__(self, ids: Ids, labels: Ids) -> None:
        self.ids = ids
        self.labels = labels

    def batches(self, rows: int, rng: np.random.Generator) -> Iterator[tuple[Ids, Ids]]:
        """Yield ids and labels in random order, in batches of at most `rows`."""
        order = rng.permutation(len(self.labels))
        for start in range(0, len(order), rows):
            chosen = order[start : start + rows]
            yield self.ids[chosen], self.labels[chosen]


def group_by_length(tokenizer: Tokenizer, examples: list[Example]) -> list[LengthGroup]:
    """Tokenize texts and group them by their number of words, shortest first."""
    groups: dict[int, list[tuple[list[int], int]]] = {}
    for example, encoding in zip(examples, tokenizer.encode_batch([e.sentence for e in examples]), strict=True):
        groups.setdefault(len(encoding.ids), []).append((encoding.ids, example.label))
    return [
        LengthGroup(np.array([ids for ids, _ in group]), np.array([label for _, label in group]))
        for _, group in sorted(groups.items())
    ]
