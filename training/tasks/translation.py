"""The task translation: English image captions into German or French, subword by subword."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import sacrebleu
import safetensors
import safetensors.torch
import torch
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training import beam_search
from training.beam_search import BeamSettings, pad
from training.data import multi30k
from training.data.multi30k import Language, Pair
from training.data.source import DataError, DataSource
from training.models.translation import TranslationModel, TranslationModelSettings
from training.plots.attention import draw_attention
from training.settings import Settings
from training.tasks.task import NOT_PREDICTED, Goal, TextTask
from training.text.subwords import END_ID, START_ID, Ids, SubwordSampler, subword_tokenizer
from training.text.truecase import Truecaser, as_sentence

LANGUAGES = {"de": "German", "fr": "French"}
PLOTTED_AMONG = 20  # first sentences of a split; the longest of them is drawn


class TranslationBatch(NamedTuple):
    """Pairs of sentences, padded.

    Args:
        source: Piece ids of the source, int64 (N, S).
        lengths: Pieces of each source, int64 (N,).
        target: Input of the decoder, [START] first, int64 (N, T).
        labels: Targets of the decoder, `target` shifted by one step, int64 (N, T). NOT_PREDICTED in the padding.
    """

    source: Tensor
    lengths: Tensor
    target: Tensor
    labels: Tensor

    def on(self, device: torch.device) -> "TranslationBatch":
        """Move the batch to a device."""
        return TranslationBatch(*(part.to(device) for part in self))


class TranslationSettings(Settings):
    """Settings of a run."""

    model: TranslationModelSettings = TranslationModelSettings()
    search: BeamSettings = BeamSettings()
    language: Language = Field(default="de", description="language to translate into: de or fr")
    pieces: int = Field(default=7000, ge=8, description="size of the vocabulary that both languages share")
    piece_dropout: float = Field(default=0.1, ge=0, lt=1, description="share of merges of pieces that are skipped")
    rows: int = Field(default=128, ge=1, description="sentence pairs in a batch")
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    warm_start: str | None = Field(default=None, description="checkpoint directory whose weights a new run starts from")


class TranslationTask(TextTask[TranslationSettings]):
    """A translation model on Multi30k.

    English is lower-cased. Translations are truecased for training, and their first letter is capitalised on output.
    """

    name = "translation"
    settings_type = TranslationSettings
    goal = Goal("greedy_bleu", "higher")
    throughput_unit = "piece"
    units: ClassVar[dict[str, str]] = {
        "train_loss": "training loss, nats per piece",
        "dev_loss": "cross entropy, nats per piece",
        "dev_greedy_bleu": "BLEU of greedy translations",
    }

    def __init__(self, settings: TranslationSettings, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(settings, tokenizer)
        self.sources: tuple[DataSource, ...] = multi30k.sources(settings.language)

    @cached_property
    def _published_pairs(self) -> list[Pair]:
        return multi30k.load("train", self.settings.language)

    @cached_property
    def _truecase(self) -> Truecaser:
        return Truecaser(pair.translation for pair in self._published_pairs)

    @cached_property
    def _train_pairs(self) -> list[Pair]:
        """The training pairs, English in lower case and translations truecased."""
        return [Pair(lowered(pair.english), self._truecase(pair.translation)) for pair in self._published_pairs]

    def build_tokenizer(self) -> Tokenizer:
        """Build one subword tokenizer for both languages from the training pairs."""
        texts = [text for pair in self._train_pairs for text in (pair.english, pair.translation)]
        return subword_tokenizer(texts, self.settings.pieces)

    def build_model(self) -> TranslationModel:
        """Build a model with random weights."""
        settings = self.settings
        return TranslationModel(
            self.tokenizer.get_vocab_size(), settings.model, settings.language, settings.search.length_penalty
        )

    def initialise(self, model: nn.Module) -> None:
        """Start from the weights of `warm_start`, if set. Its sizes and pieces must be the same.

        Raises:
            DataError: There are no such weights, or they do not fit.
        """
        if self.settings.warm_start is None:
            return
        directory = Path(self.settings.warm_start)
        try:
            pieces = Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab()
            weights = safetensors.torch.load_file(directory / "model.safetensors")
        except Exception as error:  # `tokenizers` raises nothing narrower
            raise DataError(f"no weights to start from in {directory}: {error}") from error
        if pieces != self.tokenizer.get_vocab():
            raise DataError(f"no weights to start from in {directory}: its subword pieces are different")
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise DataError(f"no weights to start from in {directory}: {error}") from error

    @cached_property
    def _samplers(self) -> tuple[SubwordSampler, SubwordSampler]:
        """Samplers that segment the sources and the targets with BPE dropout."""
        rng = np.random.default_rng(self.settings.seed)
        texts = [pair.english for pair in self._train_pairs], [pair.translation for pair in self._train_pairs]
        source, target = (SubwordSampler(self.tokenizer, part, self.settings.piece_dropout, rng) for part in texts)
        return source, target

    def batches_per_epoch(self) -> int:
        """Cover every pair once."""
        return -(-len(self._train_pairs) // self.settings.rows)

    def train_batches(self, epoch: int) -> Iterator[TranslationBatch]:
        """Yield batches of pairs of about the same length, in random order and with BPE dropout."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        sources, targets = (sampler.draw(rng) for sampler in self._samplers)
        lengths = [np.array([len(ids) for ids in side]) for side in (sources, targets)]
        order = np.lexsort((rng.random(len(sources)), lengths[1], lengths[0]))
        rows = self.settings.rows
        for i in rng.permutation(self.batches_per_epoch()):
            chosen = order[i * rows : (i + 1) * rows]
            yield batch_of([sources[j] for j in chosen], [targets[j] for j in chosen])

    def count_items(self, batch: TranslationBatch) -> int:
        """Count the predicted pieces, [END] included."""
        return int((batch.labels != NOT_PREDICTED).sum())

    def loss(self, model: nn.Module, batch: TranslationBatch, carry: None) -> tuple[Tensor, None]:
        """Compute the mean cross entropy of the translations' pieces, [END] included."""
        logits = model(batch.source, batch.lengths, batch.target)
        smoothing = self.settings.label_smoothing
        return cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=smoothing), carry

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure cross entropy, and lower-cased BLEU of greedy translations with sacreBLEU's own tokenizer."""
        pairs = multi30k.load("dev", self.settings.language)
        greedy = self.translate(model, [pair.english for pair in pairs], BeamSettings(beams=1))
        references = [pair.translation for pair in pairs]
        bleu = sacrebleu.corpus_bleu(greedy, [references], lowercase=True).score
        return {"loss": self._cross_entropy(model, pairs), "greedy_bleu": bleu}

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure BLEU, sacreBLEU and chrF of translations by beam search; see `translation_scores`."""
        # Moses' tokenizer is needed only to evaluate, not to train.
        from training.tasks import translation_scores

        pairs = multi30k.load(split, self.settings.language)
        translations = self.translate(model, [pair.english for pair in pairs], self.settings.search)
        return {
            **translation_scores.figures(translations, [pair.translation for pair in pairs], self.settings.language),
            "loss": self._cross_entropy(model, pairs),
            "sentences": float(len(pairs)),
        }

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw the attention over the longest of the first PLOTTED_AMONG sentences: `attention_<split>.png`."""
        assert isinstance(model, TranslationModel)  # noqa: S101  # this task builds no other
        text = max((pair.english for pair in multi30k.load(split, self.settings.language)[:PLOTTED_AMONG]), key=len)
        source = self.tokenizer.encode(lowered(text)).ids
        (found,) = beam_search.translate(model, [source], self.settings.search)
        batch = batch_of([np.array(source)], [np.array(found.ids, dtype=np.int64)]).on(model.output_bias.device)
        weights = model.attention(batch.source, batch.lengths, batch.target)[0]
        read, written = (
            [str(self.tokenizer.id_to_token(i)) for i in ids] for ids in (source, batch.labels[0].tolist())
        )
        title = f"Attention, English to {LANGUAGES[self.settings.language]}"
        draw_attention(directory / f"attention_{split}.png", title, read, written, weights.cpu().numpy())

    def translate(self, model: nn.Module, texts: Sequence[str], search: BeamSettings) -> list[str]:
        """Translate English texts by beam search."""
        assert isinstance(model, TranslationModel)  # noqa: S101  # this task builds no other
        sources = [encoding.ids for encoding in self.tokenizer.encode_batch([lowered(text) for text in texts])]
        found = beam_search.translate(model, sources, search)
        return [as_sentence(text) for text in self.tokenizer.decode_batch([list(one.ids) for one in found])]

    def _cross_entropy(self, model: nn.Module, pairs: Sequence[Pair]) -> float:
        """Return the nats per piece, [END] included, with texts segmented without dropout."""
        device = next(model.parameters()).device
        encode = self.tokenizer.encode_batch
        sources = [np.array(found.ids) for found in encode([lowered(pair.english) for pair in pairs])]
        targets = [np.array(found.ids) for found in encode([self._truecase(pair.translation) for pair in pairs])]
        order = np.argsort([len(ids) for ids in targets], kind="stable")
        total, pieces = 0.0, 0
        for start in range(0, len(order), self.settings.rows):
            chosen = order[start : start + self.settings.rows]
            batch = batch_of([sources[i] for i in chosen], [targets[i] for i in chosen]).on(device)
            logits = model(batch.source, batch.lengths, batch.target)
            total += float(cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="sum"))
            pieces += self.count_items(batch)
        return total / pieces


def lowered(text: str) -> str:
    """Lower-case an English text, as the model reads it."""
    return text.lower()


def batch_of(sources: Sequence[Ids], targets: Sequence[Ids]) -> TranslationBatch:
    """Make a batch of pairs, with [START] before and [END] after each target."""
    lengths = torch.tensor([len(ids) for ids in sources])
    inputs = pad([np.concatenate([[START_ID], ids]) for ids in targets], END_ID)
    labels = pad([np.concatenate([ids, [END_ID]]) for ids in targets], NOT_PREDICTED)
    return TranslationBatch(pad(sources, END_ID), lengths, inputs, labels)
