"""The task entities: BIO tags of new and rare persons, places, products and the like in social-media posts."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import nn

from training.data import wnut17, word_vectors
from training.plots.confusion import confusion, draw_confusion
from training.tasks.tagged_sentences import Tagged
from training.tasks.task import Goal
from training.tasks.word_tagging import WordTaggingTask
from training.text import bio

KINDS = (bio.OUTSIDE, *wnut17.TYPES)


class EntitiesTask(WordTaggingTask):
    """A tagger of entities, trained on WNUT17."""

    name = "entities"
    sources = (wnut17.SOURCES["train"], word_vectors.SOURCE)
    goal = Goal("entity_f1", "higher")
    throughput_unit = "word"
    units: ClassVar[dict[str, str]] = {
        "train_loss": "cross entropy, nats",
        **dict.fromkeys(("dev_entity_f1", "dev_entity_precision", "dev_entity_recall"), "share of entities"),
    }
    tags = wnut17.TAGS

    def sentences(self, split: str) -> list[Tagged]:
        """Load the posts of WNUT17."""
        return [Tagged(sentence.tokens, sentence.tags) for sentence in wnut17.load(split)]

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure precision, recall and F1 of whole entities, and accuracy of tags."""
        sentences = self.numbered(self.sentences(split))
        found = self.predict(model, sentences)
        match = bio.match(map(self.names, sentences.tag_ids), map(self.names, found))
        is_right = np.concatenate(sentences.tag_ids) == np.concatenate(found)
        return {
            "entity_f1": match.f1,
            "entity_precision": match.precision,
            "entity_recall": match.recall,
            "tag_accuracy": float(is_right.mean()),
            "entities": float(match.actual),
        }

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw the confusion matrix of the kinds of entities, word by word."""
        sentences = self.numbered(self.sentences(split))
        actual, found = (
            np.array([KINDS.index(tag.partition("-")[2] or tag) for tag in self.names(np.concatenate(tags))])
            for tags in (sentences.tag_ids, self.predict(model, sentences))
        )
        counts = confusion(len(KINDS), actual, found)
        title = f"Entities, words of WNUT17 {split}, % of the true kind"
        draw_confusion(directory / f"confusion_{split}.png", title, KINDS, counts)
