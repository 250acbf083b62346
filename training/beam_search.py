"""Beam search over a translation model, many sentences at once.

Each sentence keeps its `beams` most probable unfinished hypotheses. Of their 2 `beams` best continuations, those among
the first `beams` that end are finished, and the best of the others are kept. A sentence is done when `beams` hypotheses
are finished, or at its maximal length. Its translation is the hypothesis with the highest score,

    score = log p(y) / |y|^a,    |y| with [END]    (Wu et al. 2016, arXiv:1609.08144, section 7, in its simplest form)

or the best unfinished one if none has ended. `service.decoding.beam_search` does the same for one sentence, by graphs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from training.models.translation import TranslationModel
from training.settings import Section
from training.text.subwords import END_ID, START_ID

HYPOTHESES_AT_ONCE = 1024


class BeamSettings(Section):
    """How to search."""

    beams: int = Field(default=5, ge=1, le=8, description="number of hypotheses kept")
    length_penalty: float = Field(
        default=1.0, ge=0, description="exponent a: 0 compares log-probabilities of texts, 1 of their average piece"
    )

    def score(self, log_prob: float, length: int) -> float:
        """Return the score of a hypothesis of `length` pieces, [END] included."""
        return log_prob / math.pow(length, self.length_penalty)


@dataclass(frozen=True)
class Hypothesis:
    """A translation, without [END], and its score."""

    ids: tuple[int, ...]
    score: float


def max_length(source_length: int) -> int:
    """Return the maximal number of pieces of a translation, [END] included."""
    return 2 * source_length + 10


@torch.no_grad()
def translate(model: TranslationModel, sources: Sequence[Sequence[int]], settings: BeamSettings) -> list[Hypothesis]:
    """Translate sources, sorted by length into batches.

    Args:
        model: The model, in evaluation mode.
        sources: Piece ids, at least one per source.
        settings: How to search.

    Returns:
        The best hypothesis of each source, in the order of the sources.
    """
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    found: dict[int, Hypothesis] = {}
    sentences = max(1, HYPOTHESES_AT_ONCE // settings.beams)
    for start in range(0, len(order), sentences):
        chosen = order[start : start + sentences]
        found.update(zip(chosen, _Search(model, [sources[i] for i in chosen], settings).run(), strict=True))
    return [found[i] for i in range(len(sources))]


@dataclass
class _Sentence:
    """The state of one sentence's search."""

    max_length: int
    finished: list[Hypothesis] = field(default_factory=list)
    is_done: bool = False


class _Search:
    """Beam search over a batch of n sentences, which are n times `beams` rows for the model."""

    def __init__(self, model: TranslationModel, sources: Sequence[Sequence[int]], settings: BeamSettings) -> None:
        device = model.output_bias.device
        n, B = len(sources), settings.beams
        self._model, self._settings = model, settings
        self._sentences = [_Sentence(max_length(len(source))) for source in sources]
        lengths = torch.tensor([len(source) for source in sources], device=device)
        memory = model.encode(pad(sources, END_ID).to(device), lengths)
        self._memory, self._lengths = memory.repeat_interleave(B, dim=0), lengths.repeat_interleave(B)
        state = model.initial_state(n * B)
        self._h1, self._h2 = state["decoder1_h"], state["decoder2_h"]
        self._ids = torch.full((n, B, 1), START_ID, device=device)
        # At first all hypotheses of a sentence are the same, so only one of them counts.
        self._log_probs = torch.tensor([0.0] + [-torch.inf] * (B - 1), device=device).repeat(n, 1)

    def run(self) -> list[Hypothesis]:
        """Search until every sentence is done, and return the best hypothesis of each."""
        while not all(sentence.is_done for sentence in self._sentences):
            self._advance()
        return [max(sentence.finished, key=lambda found: found.score) for sentence in self._sentences]

    def _advance(self) -> None:
        n, B = self._log_probs.shape
        token = self._ids[:, :, -1].reshape(-1)
        log_probs, _, h1, h2 = self._model.step(token, self._memory, self._lengths, self._h1, self._h2)
        V = log_probs.shape[1]
        total = (self._log_probs.unsqueeze(2) + log_probs.view(n, B, V)).view(n, B * V)
        best, index = total.topk(2 * B, dim=1)
        parent, token = index // V, index % V
        self._finish(best[:, :B], parent[:, :B], token[:, :B])
        # Continuations that do not end, in the order of their probability.
        order = (token == END_ID).to(torch.int8).argsort(dim=1, stable=True)[:, :B]
        parent, token, self._log_probs = (values.gather(1, order) for values in (parent, token, best))
        history = self._ids.gather(1, parent.unsqueeze(2).expand(-1, -1, self._ids.shape[2]))
        self._ids = torch.cat([history, token.unsqueeze(2)], dim=2)
        rows = (torch.arange(n, device=parent.device).unsqueeze(1) * B + parent).view(-1)
        self._h1, self._h2 = h1[rows], h2[rows]
        self._stop()

    def _finish(self, log_probs: Tensor, parents: Tensor, tokens: Tensor) -> None:
        length = self._ids.shape[2]
        ended = (tokens == END_ID) & (log_probs > -torch.inf)
        for i, rank in ended.nonzero().tolist():
            if not self._sentences[i].is_done:
                ids = self._ids[i, parents[i, rank], 1:].tolist()
                score = self._settings.score(float(log_probs[i, rank]), length)
                self._sentences[i].finished.append(Hypothesis(tuple(ids), score))

    def _stop(self) -> None:
        """Mark sentences as done that have enough finished hypotheses or have reached their maximal length."""
        length = self._ids.shape[2] - 1
        for i, sentence in enumerate(self._sentences):
            if sentence.is_done:
                continue
            if length == sentence.max_length and not sentence.finished:
                score = self._settings.score(float(self._log_probs[i, 0]), length)
                sentence.finished.append(Hypothesis(tuple(self._ids[i, 0, 1:].tolist()), score))
            sentence.is_done = len(sentence.finished) >= self._settings.beams or length == sentence.max_length


def pad(sequences: Sequence[Sequence[int] | NDArray[np.int64]], value: int) -> Tensor:
    """Stack sequences as rows of one tensor, int64 (N, T), padded with `value`."""
    rows = [torch.as_tensor(sequence, dtype=torch.int64) for sequence in sequences]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=float(value))
