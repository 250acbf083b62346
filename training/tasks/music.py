"""The tasks chorales and folk: the next frame of a piece of music, note by note."""

import heapq
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm  # type: ignore[import-untyped]

from training import music
from training.data import polyphony
from training.data.polyphony import Collection, Frame, Piece
from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.streaming import Tensors
from training.plots.pianoroll import draw_pianorolls
from training.settings import Settings
from training.tasks.task import NOT_PREDICTED, Goal, Task

DRAWN_FRAMES, GIVEN_BARS = 96, 2
TEMPERATURE = 0.9

Ids = NDArray[np.int64]


class MusicBatch(NamedTuple):
    """Chunks of pieces, one per row, padded.

    Args:
        x: Tokens, int64 (N, T).
        y: The tokens that follow, int64 (N, T). NOT_PREDICTED in the padding.
        begins: Which rows begin a piece, bool (N,).
    """

    x: Tensor
    y: Tensor
    begins: Tensor


class MusicSettings(Settings):
    """Settings of a run."""

    model: GenerationModelSettings = GenerationModelSettings()
    rows: int = Field(default=16, ge=1, description="pieces that are read in parallel")
    bptt_len: int = Field(default=128, ge=1, description="tokens after which backpropagation is truncated")
    transpose: int = Field(default=6, ge=0, description="largest transposition of a piece, in semitones up or down")

    @field_validator("model")
    @classmethod
    def _is_lstm(cls, model: GenerationModelSettings) -> GenerationModelSettings:
        if model.cell != "lstm":
            raise ValueError("only the lstm keeps to what may follow in music")
        return model


class MusicTask(Task[MusicSettings]):
    """A language model over notes and ends of frames, each piece from a fresh state.

    Every row of a batch reads one piece after another. The state is carried within a piece.
    """

    collection: ClassVar[Collection]
    settings_type = MusicSettings
    goal = Goal("nats_per_frame", "lower")
    throughput_unit = "token"
    units: ClassVar[dict[str, str]] = {"train_loss": "nats per token", "dev_nats_per_frame": "nats per frame"}

    def build_model(self) -> GenerationModel:
        """Build a model with random weights."""
        return GenerationModel(music.VOCABULARY_SIZE, self.settings.model, music.successors())

    @cached_property
    def _train_ids(self) -> list[Ids]:
        return [music.tokens(piece) for piece in polyphony.load(self.collection, "train")]

    @cached_property
    def _num_chunks(self) -> list[int]:
        """Number of chunks of bptt_len tokens in each piece."""
        return [-(-(len(ids) - 1) // self.settings.bptt_len) for ids in self._train_ids]

    def batches_per_epoch(self) -> int:
        """Return the number of chunks in the longest row."""
        rows = assign(self._num_chunks, self.settings.rows, np.random.default_rng(0))
        return max(sum(self._num_chunks[piece] for piece in row) for row in rows)

    def train_batches(self, epoch: int) -> Iterator[MusicBatch]:
        """Yield the chunks of all pieces. Keys and order differ by epoch."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        rows = assign(self._num_chunks, self.settings.rows, rng)
        x, y, begins = map(torch.stack, zip(*(self._read(row, rng) for row in rows), strict=True))
        for chunk in range(self.batches_per_epoch()):
            yield MusicBatch(x[:, chunk], y[:, chunk], begins[:, chunk])

    def _read(self, pieces: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Lay pieces out in a row, in random order and keys.

        Returns:
            Tokens and targets, int64 (chunks, T), padded after each piece, and which chunks begin a piece, bool
            (chunks,).
        """
        num_chunks, T = self.batches_per_epoch(), self.settings.bptt_len
        x = np.full((num_chunks, T), music.END_OF_FRAME)
        y = np.full((num_chunks, T), NOT_PREDICTED)
        begins = np.zeros(num_chunks, dtype=bool)
        chunk = 0
        for piece in rng.permutation(pieces):
            ids = self._train_ids[piece]
            ids = music.transposed(ids, int(rng.choice(music.transpositions(ids, self.settings.transpose))))
            begins[chunk] = True
            x[chunk:].reshape(-1)[: len(ids) - 1] = ids[:-1]
            y[chunk:].reshape(-1)[: len(ids) - 1] = ids[1:]
            chunk += self._num_chunks[piece]
        return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(begins)

    def count_items(self, batch: MusicBatch) -> int:
        """Count the predicted tokens."""
        return int((batch.y != NOT_PREDICTED).sum())

    def loss(self, model: nn.Module, batch: MusicBatch, carry: Tensors | None) -> tuple[Tensor, Tensors]:
        """Compute the mean cross entropy. The state is carried to the next batch, unless a piece begins there."""
        goes_on = ~batch.begins[:, None]
        state = {name: carry[name] * goes_on for name in ("h", "c")} if carry is not None else None
        logits, state = model(batch.x, state)
        return cross_entropy(logits.flatten(0, 1), batch.y.flatten(), ignore_index=NOT_PREDICTED), state

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure nats per frame, over all but the first frame of each piece. Pieces begin with a fresh state."""
        pieces = sorted(polyphony.load(self.collection, split), key=len)
        starts = range(0, len(pieces), self.settings.rows)
        batches = [pieces[start : start + self.settings.rows] for start in starts]
        bar = tqdm(batches, desc="evaluating", unit="batch", leave=False, disable=None)
        total = sum(self._nats(model, batch) for batch in bar)
        frames = sum(len(piece) - 1 for piece in pieces)
        return {
            "nats_per_frame": total / frames,
            "nats_per_token": total / sum(len(frame) + 1 for piece in pieces for frame in piece[1:]),
            "frames": float(frames),
            "pieces": float(len(pieces)),
        }

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw the piano rolls of a piece of the split and of the model's continuation of its first bars."""
        piece = max(polyphony.load(self.collection, split), key=len)[:DRAWN_FRAMES]
        given = self.collection.frames_per_bar * GIVEN_BARS
        written = self.compose(model, piece[:given], DRAWN_FRAMES - given)
        rolls = [(f"A piece of the {split} split", piece), (f"The {self.name} model after its beginning", written)]
        draw_pianorolls(directory / f"pianoroll_{split}.png", rolls, self.collection.frames_per_beat, given)

    def compose(self, model: nn.Module, given: Piece, num_frames: int) -> list[Frame]:
        """Continue frames by sampling from the model with a fixed seed. Returns given and new frames."""
        generator = torch.Generator().manual_seed(0)
        device = next(model.parameters()).device
        ids = music.tokens(given).tolist()
        logits, state = model(torch.tensor([ids], device=device))
        while ids[1:].count(music.END_OF_FRAME) < len(given) + num_frames:
            probabilities = (logits[0, -1] / TEMPERATURE).softmax(dim=0).cpu()
            ids.append(int(torch.multinomial(probabilities, 1, generator=generator)))
            logits, state = model(torch.tensor([ids[-1:]], device=device), state)
        return music.frames(ids[1:])

    def _nats(self, model: nn.Module, pieces: Sequence[Piece]) -> float:
        """Return the total cross entropy, in nats, of all but the first frame of each piece."""
        device = next(model.parameters()).device
        ids = [torch.from_numpy(music.tokens(piece)) for piece in pieces]
        x = pad_sequence([piece_ids[:-1] for piece_ids in ids], batch_first=True).to(device)
        y = pad_sequence([piece_ids[1:] for piece_ids in ids], batch_first=True, padding_value=NOT_PREDICTED).to(device)
        logits, _ = model(x)
        for row, piece in enumerate(pieces):
            y[row, : len(piece[0]) + 1] = NOT_PREDICTED
        return float(
            cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=NOT_PREDICTED, reduction="sum").double()
        )


class ChoralesTask(MusicTask):
    """Bach's chorales, one frame per quarter note."""

    name = "chorales"
    collection = polyphony.CHORALES
    sources = (polyphony.CHORALES.source,)


class FolkTask(MusicTask):
    """Folk tunes with chords, one frame per eighth note."""

    name = "folk"
    collection = polyphony.FOLK
    sources = (polyphony.FOLK.source,)


def assign(sizes: Sequence[int], rows: int, rng: np.random.Generator) -> list[list[int]]:
    """Assign pieces to rows of about the same total size, by longest processing time first (Graham 1969).

    Pieces are assigned from the largest to the smallest, each to the row with the smallest total. Only the order of
    pieces of the same size is random, so the totals do not depend on `rng`.

    Args:
        sizes: Size of each piece.
        rows: Number of rows.
        rng: Shuffles pieces of the same size.

    Returns:
        The indices of the pieces in each row.
    """
    order = sorted(rng.permutation(len(sizes)).tolist(), key=lambda piece: -sizes[piece])
    assigned: list[list[int]] = [[] for _ in range(rows)]
    sums = [(0, row) for row in range(rows)]
    for piece in order:
        total, row = heapq.heappop(sums)
        assigned[row].append(piece)
        heapq.heappush(sums, (total + sizes[piece], row))
    return assigned
