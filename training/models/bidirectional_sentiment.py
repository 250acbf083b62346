"""Words in, logits of negative and positive out: LSTMs in both directions, pooled features.

The head sees the maximum and the mean of both directions' features over a text. The backward direction begins with the
last word, so it needs the whole text. Training runs torch's fused LSTMs. Export and serving use `unroll_stage`, which
computes the same numbers step by step.
"""

from collections.abc import Iterator
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from training.models.bidirectional import BidirectionalLSTM, last_items, unroll_lstm
from training.models.dropout import LockedDropout
from training.models.sentiment import CLASSES
from training.models.streaming import StatefulModule, StateTensor, Tensors, passes_by_name
from training.recurrence.cells import LSTMCell
from training.settings import Section

HEAD = "head"


class BidirectionalSentimentModelSettings(Section):
    """Sizes and regularisation."""

    embedding_size: int = Field(default=128, ge=1)
    hidden_size: int = Field(default=128, ge=1, description="hidden units of each direction")
    layers: int = Field(default=1, ge=1)
    embedding_dropout: float = Field(default=0.3, ge=0, lt=1, description="variational dropout of embedded words")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="variational dropout between layers and before the head"
    )


class BidirectionalSentimentModel(StatefulModule):
    """A classifier of whole texts.

    Args:
        vocabulary_size: Number of words, [UNK] included.
        settings: Sizes and regularisation.
    """

    def __init__(self, vocabulary_size: int, settings: BidirectionalSentimentModelSettings) -> None:
        super().__init__()
        H = settings.hidden_size
        self.settings = settings
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding_size)
        self.embedding_dropout = LockedDropout(settings.embedding_dropout)
        sizes = [settings.embedding_size] + [2 * H] * (settings.layers - 1)
        self.layers = nn.ModuleList([BidirectionalLSTM(C, H) for C in sizes])
        self.dropout = LockedDropout(settings.dropout)
        self.head_dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(4 * H, len(CLASSES))
        self.passes = passes_by_name(settings.layers)
        self.state = tuple(self._state())
        nn.init.normal_(self.embedding.weight, std=0.1)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in the order in which a text passes through them."""
        return (*self.passes, HEAD)

    def _state(self) -> Iterator[StateTensor]:
        H = self.settings.hidden_size
        for name in self.passes:
            yield StateTensor(f"{name}_h", "float32", ("N", H))
            yield StateTensor(f"{name}_c", "float32", ("N", H))
        # Hidden states are bounded by -1 and 1, so -1 is the neutral element of the maximum.
        yield StateTensor("pool_max", "float32", ("N", 2 * H), initial=-1.0)
        yield StateTensor("pool_sum", "float32", ("N", 2 * H))
        yield StateTensor("pool_count", "float32", ("N", 1))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (N, 2) of texts x, int64 (N, T), by the fused path. `lengths` (N,) are their words."""
        y = self.embedding_dropout(self.embedding(x))
        for i, layer in enumerate(self.layers):
            y = layer(y if i == 0 else self.dropout(y), lengths)
        last = (lengths - 1).view(-1, 1, 1)
        is_there = torch.arange(x.shape[1], device=x.device).view(1, -1, 1) <= last
        maximum = y.masked_fill(~is_there, -1.0).amax(dim=1)
        mean = last_items(y.cumsum(dim=1), lengths) / lengths.unsqueeze(1)
        logits: Tensor = self.head(self.head_dropout(torch.cat([maximum, mean], dim=1)))
        return logits

    def unroll_stage(self, stage: str, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """Run items through a stage, step by step: see `StagedModel`.

        The first layer reads word ids "x", int64 (N, T). Later stages read "x", the features of both directions of the
        layer below, float32 (N, T, 2H). Layers return "features" (N, T, H). The head returns "logits" (N, T, 2) of the
        text up to each word.
        """
        if stage == HEAD:
            return self._pool_and_classify(inputs["x"], state)
        this = self.passes[stage]
        lstm = cast(BidirectionalLSTM, self.layers[this.layer - 1]).lstm(this.direction)
        x = self.embedding(inputs["x"]) if this.layer == 1 else inputs["x"]
        features, h, c = unroll_lstm(LSTMCell.from_torch(lstm), x, state[f"{stage}_h"], state[f"{stage}_c"])
        return {"features": features}, {f"{stage}_h": h, f"{stage}_c": c}

    def _pool_and_classify(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Pool features in the order of the words, so that any cut of a text gives the same bits; then classify."""
        maximum, total, count = state["pool_max"], state["pool_sum"], state["pool_count"]
        pooled: list[Tensor] = []
        for x_t in x.unbind(dim=1):
            maximum, total, count = torch.maximum(maximum, x_t), total + x_t, count + 1
            pooled.append(torch.cat([maximum, total / count], dim=1))
        logits = self.head(torch.cat(pooled)).view(x.shape[1], -1, len(CLASSES)).transpose(0, 1)
        return {"logits": logits}, {"pool_max": maximum, "pool_sum": total, "pool_count": count}
