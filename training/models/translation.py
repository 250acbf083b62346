"""An English sentence in, its translation out: a bidirectional encoder, attention, and a two-layer decoder.

    memory_s = [forward_s ; backward_s]                              L layers of GRU in each direction
    h1_t = GRU1(embedding(y_{t-1}), h1_{t-1})
    a_ts = softmax_s((Wq h1_t + bq) . memory_s / sqrt(2 H)),  context_t = sum_s a_ts memory_s
    h2_t = GRU2([h1_t ; context_t], h2_{t-1})
    logits_t = tanh(Wo [h2_t ; context_t] + bo) E' + b               E' is the embedding, transposed

Attention is the "general" one of Luong et al. (2015, equation 8), scaled as in Vaswani et al. (2017, equation 1):
without the scaling it becomes one-hot early in training and then passes no gradient on (docs/log.md). With two hops the
second layer attends as well, (Wq2 h2_t + bq2) . memory_s, and the logits see that context too: the first hop's query
knows the translation so far, the second's also the context that the first hop found.

The query is the first layer's state alone, as in RNMT+ (Chen et al. 2018, arXiv:1804.09849, section 3.2), so no
recurrence passes through the attention: training runs torch's fused GRUs over all steps and one batched attention. A
backward GRU is a forward one over the reversed sentence, so padding comes last for both. Source, target and output
share one embedding (Press and Wolf 2017, arXiv:1608.05859).

Export and serving use `unroll_stage`, which computes the same numbers step by step.
"""

from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from training.data.multi30k import Language
from training.models.bidirectional import reverse_rows
from training.models.dropout import LockedDropout
from training.models.streaming import Pass, StatefulModule, StateTensor, Tensors, by_step, passes_by_name
from training.recurrence.cells import GRUCell, unroll
from training.recurrence.initialisation import initialise_torch
from training.settings import Section

STEP = "step"
MASKED = -1e9  # a score whose weight is exactly 0. Unlike -inf, a row of nothing else gives no NaN


class TranslationModelSettings(Section):
    """Sizes and regularisation."""

    embedding_size: int = Field(default=160, ge=1)
    encoder_size: int = Field(default=192, ge=1, description="hidden units of each direction")
    encoder_layers: int = Field(default=2, ge=1)
    decoder_size: int = Field(default=256, ge=1)
    hops: int = Field(default=1, ge=1, le=2, description="decoder layers that attend to the source")
    embedding_dropout: float = Field(
        default=0.3, ge=0, lt=1, description="dropout of embeddings, the same features at all steps"
    )
    dropout: float = Field(default=0.3, ge=0, lt=1, description="dropout after each layer")
    output_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the logits")


class TranslationModel(StatefulModule):
    """A translation model over pieces of words.

    Args:
        vocabulary_size: V, the number of pieces, which both languages share.
        settings: Sizes and regularisation.
        language: Target language, for the bundle.
        length_penalty: Length penalty of its beam search, for the bundle; see `training.beam_search`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        settings: TranslationModelSettings,
        language: Language = "de",
        length_penalty: float = 1.0,
    ) -> None:
        super().__init__()
        self.language, self.length_penalty = language, length_penalty
        E, H, D = settings.embedding_size, settings.encoder_size, settings.decoder_size
        self.embedding = nn.Embedding(vocabulary_size, E)
        sizes = [E] + [2 * H] * (settings.encoder_layers - 1)
        self.forward_layers = nn.ModuleList(nn.GRU(C, H, batch_first=True) for C in sizes)
        self.backward_layers = nn.ModuleList(nn.GRU(C, H, batch_first=True) for C in sizes)
        self.decoder1 = nn.GRU(E, D, batch_first=True)
        self.query = nn.Linear(D, 2 * H)
        self.decoder2 = nn.GRU(D + 2 * H, D, batch_first=True)
        self.query2 = nn.Linear(D, 2 * H) if settings.hops == 2 else None
        self.output = nn.Linear(D + settings.hops * 2 * H, E)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.embedding_dropout = LockedDropout(settings.embedding_dropout)
        self.dropout = nn.Dropout(settings.dropout)
        self.output_dropout = nn.Dropout(settings.output_dropout)
        self.passes = passes_by_name(settings.encoder_layers)
        self.state = (
            *(StateTensor(f"{name}_h", "float32", ("N", H)) for name in self.passes),
            StateTensor("decoder1_h", "float32", ("N", D)),
            StateTensor("decoder2_h", "float32", ("N", D)),
        )
        nn.init.normal_(self.embedding.weight, std=E**-0.5)
        for gru in (*self.forward_layers, *self.backward_layers, self.decoder1, self.decoder2):
            initialise_torch(cast(nn.GRU, gru))

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """Run the fused path, with the true translation as the decoder's input (teacher forcing).

        Args:
            source: Piece ids, int64 (N, S). The padding may be any id.
            lengths: Pieces of each source, int64 (N,).
            target: Ids of the pieces that precede each predicted one, [START] first, int64 (N, T).

        Returns:
            Logits of the next piece, (N, T, V).
        """
        memory = self.encode(source, lengths)
        h1, _ = self.decoder1(self.embedding_dropout(self.embed(target)))
        h1 = self.dropout(h1)
        context, _ = self._attend(self.query(h1), memory, lengths)
        h2, _ = self.decoder2(torch.cat([h1, context], dim=2))
        return self._logits(self._look_again(h2, context, memory, lengths)[0])

    def embed(self, ids: Tensor) -> Tensor:
        """Embed pieces (...) as vectors (..., E) of unit variance.

        They are scaled here because the same weights must stay small as output weights (Vaswani et al. 2017, section
        3.4).
        """
        vectors: Tensor = self.embedding(ids) * self.embedding.embedding_dim**0.5
        return vectors

    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        """Encode sources.

        Args:
            source: Piece ids, int64 (N, S).
            lengths: Pieces of each source, int64 (N,).

        Returns:
            The memory that the decoder attends to, (N, S, 2 H). Undefined in the padding.
        """
        memory: Tensor = self.embedding_dropout(self.embed(source))
        for forward, backward in zip(self.forward_layers, self.backward_layers, strict=True):
            ahead, _ = forward(memory)
            back, _ = backward(reverse_rows(memory, lengths))
            memory = self.dropout(torch.cat([ahead, reverse_rows(back, lengths)], dim=2))
        return memory

    def _attend(self, query: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return context (N, T, 2 H) and attention (N, T, S) of queries (N, T, 2 H) over a memory (N, S, 2 H)."""
        scores: Tensor = query @ memory.transpose(1, 2) / memory.shape[2] ** 0.5
        is_there = torch.arange(memory.shape[1], device=memory.device) < lengths.view(-1, 1, 1)
        attention = torch.where(is_there, scores, MASKED).softmax(dim=2)
        return attention @ memory, attention

    def _look_again(self, h2: Tensor, context: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Add the second hop's context, if there is one.

        Returns:
            The input of the logits, (N, T, D + hops 2 H), and the second hop's attention, (N, T, S), or None.
        """
        if self.query2 is None:
            return torch.cat([h2, context], dim=2), None
        again, attention = self._attend(self.query2(self.dropout(h2)), memory, lengths)
        return torch.cat([h2, context, again], dim=2), attention

    def attention(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """Return the attention, (N, T, S), of each piece of a given translation. Arguments as in `forward`."""
        memory = self.encode(source, lengths)
        h1, _ = self.decoder1(self.embed(target))
        context, first = self._attend(self.query(h1), memory, lengths)
        h2, _ = self.decoder2(torch.cat([h1, context], dim=2))
        return _mean(first, self._look_again(h2, context, memory, lengths)[1])

    def _logits(self, seen: Tensor) -> Tensor:
        features = torch.tanh(self.output(self.dropout(seen)))
        logits: Tensor = self.output_dropout(features) @ self.embedding.weight.T + self.output_bias
        return logits

    def unroll_stage(self, stage: str, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """Run items through a stage, step by step.

        The `passes` are the directions of the encoder's layers. The first layer reads piece ids "x", int64 (N, T). The
        others read "x", the features of both directions of the layer below, float32 (N, T, 2 H). They return
        "features", float32 (N, T, H). "step" decodes one piece, see `step`. It reads "token", "memory" and "length",
        and returns "log_probs" and "attention".

        Args:
            stage: Name of a pass, or STEP.
            inputs: Inputs of the stage, by name.
            state: State tensors of the stage, by name.

        Returns:
            Outputs and the next state, by name.
        """
        if stage == STEP:
            carried = state["decoder1_h"], state["decoder2_h"]
            log_probs, attention, *carried_next = self.step(
                inputs["token"], inputs["memory"], inputs["length"], *carried
            )
            outputs = {"log_probs": log_probs, "attention": attention}
            return outputs, dict(zip(("decoder1_h", "decoder2_h"), carried_next, strict=True))
        x = inputs["x"] if inputs["x"].is_floating_point() else self.embed(inputs["x"])
        cell = GRUCell.from_torch(self._gru(self.passes[stage]))
        T, C = x.shape[1:]
        projected = cell.project(x.transpose(0, 1).reshape(-1, C))  # (T * N, 3H)
        hidden = [h for (h,) in unroll(cell, by_step(projected, T).unbind(), (state[f"{stage}_h"],))]
        return {"features": torch.stack(hidden, dim=1)}, {f"{stage}_h": hidden[-1]}

    def _gru(self, this: Pass) -> nn.GRU:
        layers = self.forward_layers if this.direction == "forward" else self.backward_layers
        return cast(nn.GRU, layers[this.layer - 1])

    def step(
        self, token: Tensor, memory: Tensor, length: Tensor, h1: Tensor, h2: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode one step: read the latest piece and predict the next.

        Args:
            token: The latest piece, [START] at first, int64 (N,).
            memory: See `encode`, (N, S, 2 H). Any finite number in the padding.
            length: Pieces of the source, int64 (N,).
            h1: State of the first decoder layer, (N, D).
            h2: State of the second decoder layer, (N, D).

        Returns:
            Log-probabilities (N, V), attention over the source (N, S), and the next h1 and h2.
        """
        cell1, cell2 = (GRUCell.from_torch(gru) for gru in (self.decoder1, self.decoder2))
        h1 = cell1.step(self.embed(token), h1)
        context, first = self._attend(self.query(h1.unsqueeze(1)), memory, length)
        h2 = cell2.step(torch.cat([h1, context.squeeze(1)], dim=1), h2)
        seen, second = self._look_again(h2.unsqueeze(1), context, memory, length)
        log_probs = self._logits(seen.squeeze(1)).log_softmax(dim=1)
        return log_probs, _mean(first, second).squeeze(1), h1, h2


def _mean(first: Tensor, second: Tensor | None) -> Tensor:
    """Return the mean of both hops' attention, or that of the only hop."""
    return first if second is None else (first + second) / 2
