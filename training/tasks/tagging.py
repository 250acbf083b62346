"""The task tagging: the universal part of speech (UPOS) of each word of English text."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import nn

from training.data import ewt
from training.plots.confusion import confusion, draw_confusion
from training.tasks.tagged_sentences import Tagged
from training.tasks.task import Goal
from training.tasks.word_tagging import WordTaggingTask
from training.text.english import word_spans


class TaggingTask(WordTaggingTask):
    """A tagger of parts of speech (UPOS), trained on English EWT, with finer tags as auxiliary targets."""

    name = "tagging"
    sources = (ewt.SOURCES["train"],)
    goal = Goal("accuracy", "higher")
    throughput_unit = "word"
    units: ClassVar[dict[str, str]] = {
        "train_loss": "cross entropy of all kinds of tags, nats",
        "dev_accuracy": "accuracy, share of words",
    }
    tags = ewt.UPOS
    auxiliary: ClassVar[dict[str, int]] = {"xpos": 64, "feats": 256, "deprel": 64}

    def sentences(self, split: str) -> list[Tagged]:
        """Load the sentences of EWT."""
        loaded = ewt.load(split)
        opens = [sentence.opens_document for sentence in loaded[1:]] + [True]
        return [
            Tagged(
                words=[word.form for word in sentence.words],
                tags=[word.upos for word in sentence.words],
                other={kind: [getattr(word, kind) for word in sentence.words] for kind in self.auxiliary},
                is_continued=not is_last,
            )
            for sentence, is_last in zip(loaded, opens, strict=True)
        ]

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure accuracy on gold words."""
        sentences = self.numbered(self.sentences("dev"))
        actual = np.concatenate(sentences.tag_ids)
        return {"accuracy": float((np.concatenate(self.predict(model, sentences)) == actual).mean())}

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure accuracy on gold words, sentence by sentence and text by text, and F1 on raw text."""
        sentences = self.numbered(self.sentences(split))
        actual = np.concatenate(sentences.tag_ids)
        is_right = np.concatenate(self.predict(model, sentences)) == actual
        is_right_in_text = np.concatenate(self.predict(model, sentences, sentences.texts())) == actual
        is_unknown = np.concatenate(sentences.ids) == 0
        return {
            "accuracy": float(is_right.mean()),
            "accuracy_unknown_words": float(is_right[is_unknown].mean()) if is_unknown.any() else 0.0,
            "accuracy_whole_texts": float(is_right_in_text.mean()),
            **self._on_raw_text(model, split),
            "words": float(len(actual)),
        }

    def _on_raw_text(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return the F1 of words and of tagged words when the tokenizer splits raw text (as in CoNLL 2018)."""
        loaded = ewt.load(split)
        spans = [word_spans(self.tokenizer, sentence.text) for sentence in loaded]
        texts = [
            Tagged([sentence.text[start:end] for start, end in found], [self.tags[0]] * len(found))
            for sentence, found in zip(loaded, spans, strict=True)
        ]
        guesses = self.predict(model, self.numbered(texts))
        words = right_words = right_tags = 0
        for sentence, found, tags in zip(loaded, spans, guesses, strict=True):
            there = dict(zip(ewt.spans(sentence), (word.upos for word in sentence.words), strict=True))
            words += len(there) + len(found)
            right_words += sum(span in there for span in found)
            right_tags += sum(there.get(span) == tag for span, tag in zip(found, self.names(tags), strict=True))
        return {"raw_text_words_f1": 2 * right_words / words, "raw_text_upos_f1": 2 * right_tags / words}

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw the confusion matrix."""
        sentences = self.numbered(self.sentences(split))
        actual = np.concatenate(sentences.tag_ids)
        counts = confusion(len(self.tags), actual, np.concatenate(self.predict(model, sentences)))
        title = f"Parts of speech, English EWT {split}, % of the true tag"
        draw_confusion(directory / f"confusion_{split}.png", title, self.tags, counts)
