"""The task generation: a character language model of tinyshakespeare or of a user's own text."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm  # type: ignore[import-untyped]

from training.data import own_text, tinyshakespeare
from training.data.own_file import OwnFile
from training.data.source import DataError
from training.models.generation import GenerationModelSettings
from training.models.language import LanguageModel, language_model
from training.models.streaming import Tensors
from training.plots.losses import draw_losses
from training.settings import Settings
from training.tasks.task import Goal, TextTask
from training.text import characters
from training.text.vocabulary import character_tokenizer

RESET_EVERY = 256
MAX_ROWS = 1024  # rows evaluated at once: about a gigabyte at RESET_EVERY characters each


class GenerationSettings(Settings):
    """Settings of a run."""

    model: GenerationModelSettings = GenerationModelSettings()
    rows: int = Field(default=32, ge=1, description="parts of the text that are read in parallel")
    bptt_len: int = Field(default=128, ge=1, description="characters after which backpropagation is truncated")
    text: OwnFile | None = Field(default=None, description="your own file, instead of tinyshakespeare")


class GenerationTask(TextTask[GenerationSettings]):
    """A character language model on tinyshakespeare or a user's own text, trained with a carried state."""

    name = "generation"
    settings_type = GenerationSettings
    sources = (tinyshakespeare.SOURCE,)
    goal = Goal("nats_per_char", "lower")
    throughput_unit = "character"
    units: ClassVar[dict[str, str]] = dict.fromkeys(("train_loss", "dev_nats_per_char"), "nats per character")

    def __init__(self, settings: GenerationSettings, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(settings, tokenizer)
        if settings.text is not None:
            self.sources = (settings.text.source,)

    @cached_property
    def _text(self) -> dict[str, str]:
        own = self.settings.text
        if own is None:
            return tinyshakespeare.split(tinyshakespeare.load())
        return tinyshakespeare.split(own_text.read(Path(own.path), own.sha256, own.encoding))

    def build_tokenizer(self) -> Tokenizer:
        """Build a tokenizer for the characters of all splits, so that evaluation meets no unknown character."""
        return character_tokenizer("".join(self._text.values()))

    @property
    def vocabulary_size(self) -> int:
        """V, the number of characters without [UNK], which the model never sees."""
        return self.tokenizer.get_vocab_size() - 1

    def build_model(self) -> LanguageModel:
        """Build a model with random weights."""
        return language_model(self.vocabulary_size, self.settings.model)

    def encode(self, text: str) -> Tensor:
        """Encode a text as character ids, int64 (T,).

        Raises:
            DataError: The model does not know a character.
        """
        tokenizer = self.tokenizer
        ids = torch.from_numpy(characters.encode(text, lambda piece: tokenizer.encode(piece).ids))
        unknown = (ids >= self.vocabulary_size).nonzero()
        if len(unknown):
            raise DataError(f"unknown character {text[int(unknown[0])]!r} at {int(unknown[0])}")
        return ids

    @cached_property
    def _train_ids(self) -> Tensor:
        return self.encode(self._text["train"])

    def batches_per_epoch(self) -> int:
        """Cover every row once, in steps of bptt_len.

        Raises:
            DataError: The text is too short for a single step.
        """
        rows, T, characters = self.settings.rows, self.settings.bptt_len, len(self._train_ids)
        batches = (characters // rows - 1) // T
        if batches < 1:
            raise DataError(
                f"{characters} characters to train on are too few for rows={rows} of bptt_len={T}: give smaller ones"
            )
        return batches

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield x and y, int64 (N, T): contiguous rows of the text, and the same rows one character later.

        Every epoch cuts the text into rows at different places.
        """
        rows, T = self.settings.rows, self.settings.bptt_len
        shift = int(np.random.default_rng([self.settings.seed, epoch]).integers(len(self._train_ids)))
        ids = self._train_ids.roll(-shift)
        columns = len(ids) // rows
        ids = ids[: rows * columns].view(rows, columns)
        for start in range(0, self.batches_per_epoch() * T, T):
            yield ids[:, start : start + T], ids[:, start + 1 : start + T + 1]

    def count_items(self, batch: tuple[Tensor, Tensor]) -> int:
        """Count the predicted characters."""
        return batch[1].numel()

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor], carry: Tensors | None) -> tuple[Tensor, Tensors]:
        """Compute the mean cross entropy. The state is carried to the next batch."""
        x, y = batch
        logits, carry = model(x, carry)
        return cross_entropy(logits.flatten(0, 1), y.flatten()), carry

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure nats per character of the dev text, read as 16 parallel rows, which is faster than one."""
        return {"nats_per_char": self._nats_per_char(model, self._rows("dev", (len(self._text["dev"]) - 1) // 16))}

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure nats per character in one stateful pass over the whole split, and with resets."""
        if split not in self._text:
            raise DataError(f"{self.name} has no {split} split, only train and dev")
        stateful = self._nats_per_char(model, self._rows(split, len(self._text[split]) - 1))
        return {
            "nats_per_char": stateful,
            "bits_per_char": stateful / float(np.log(2)),
            f"nats_per_char_reset_{RESET_EVERY}": self._nats_per_char(model, self._rows(split, RESET_EVERY)),
            "characters": float(len(self._text[split])),
        }

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw nats per character by the number of characters read since a reset."""
        parts = torch.split(self._rows(split, RESET_EVERY), MAX_ROWS)
        losses = [_losses(model, rows) for rows in tqdm(parts, desc="drawing", unit="part", leave=False, disable=None)]
        draw_losses(directory / "loss_by_position.png", torch.cat(losses).numpy(), split)

    def _rows(self, split: str, columns: int) -> Tensor:
        """Cut a text into rows (N, columns + 1). Each begins with the last character of the row before.

        A remainder shorter than a row is dropped.
        """
        return self.encode(self._text[split]).unfold(0, columns + 1, columns)

    def _nats_per_char(self, model: nn.Module, rows: Tensor) -> float:
        """Return the mean cross entropy of all but the first character of each row (N, T), carrying the state along."""
        device = next(model.parameters()).device
        total, T, state = 0.0, 4096, None
        pieces = [(part, start) for part in torch.split(rows, MAX_ROWS) for start in range(0, rows.shape[1] - 1, T)]
        for part, start in tqdm(pieces, desc="evaluating", unit="piece", leave=False, disable=None):
            ids = part[:, start : start + T + 1].to(device)
            logits, state = model(ids[:, :-1], state if start else None)
            total += float(cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"))
        return total / (rows.shape[0] * (rows.shape[1] - 1))


def _losses(model: nn.Module, rows: Tensor) -> Tensor:
    """Return the nats of all but the first character of rows (N, T), float32 (N, T - 1) on the CPU."""
    ids = rows.to(next(model.parameters()).device)
    logits, _ = model(ids[:, :-1])
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1).cpu()
