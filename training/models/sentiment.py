"""Words in, logits of the labels out after every word: an embedding, layers of GRU, pooled features.

The head sees the running maximum and mean of the hidden states, and the last one. Maximum, sum and count are part of
the state, so a text may arrive word by word. Training runs torch's fused GRU. Export and serving use `unroll`, which
computes the same numbers step by step.
"""

from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from training.models.dropout import LockedDropout
from training.models.streaming import StatefulModule, StateTensor, Tensors, by_step
from training.recurrence.cells import GRUCell, unroll
from training.recurrence.initialisation import initialise_torch
from training.settings import Section

CLASSES = ("negative", "positive")


class SentimentModelSettings(Section):
    """Sizes and regularisation."""

    embedding_size: int = Field(default=128, ge=1)
    hidden_size: int = Field(default=192, ge=1)
    layers: int = Field(default=1, ge=1)
    embedding_dropout: float = Field(default=0.3, ge=0, lt=1, description="variational dropout of embedded words")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="variational dropout between layers and before the head"
    )


class SentimentModel(StatefulModule):
    """A unidirectional classifier of texts.

    Args:
        vocabulary_size: Number of words, [UNK] included.
        settings: Sizes and regularisation.
        classes: Names of the labels.
    """

    def __init__(
        self, vocabulary_size: int, settings: SentimentModelSettings, classes: tuple[str, ...] = CLASSES
    ) -> None:
        super().__init__()
        self.classes = classes
        L, H = settings.layers, settings.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding_size)
        self.embedding_dropout = LockedDropout(settings.embedding_dropout)
        grus = [nn.GRU(C, H, batch_first=True) for C in [settings.embedding_size] + [H] * (L - 1)]
        self.layers = nn.ModuleList(grus)
        self.dropout = LockedDropout(settings.dropout)
        self.head_dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(3 * H, len(classes))
        self.state = (
            StateTensor("h", "float32", (L, "N", H)),
            # h is bounded by -1 and 1, so -1 is the neutral element of the maximum.
            StateTensor("pool_max", "float32", ("N", H), initial=-1.0),
            StateTensor("pool_sum", "float32", ("N", H)),
            StateTensor("pool_count", "float32", ("N", 1)),
        )
        nn.init.normal_(self.embedding.weight, std=0.1)
        for gru in grus:
            initialise_torch(gru)

    def forward(self, x: Tensor, state: Tensors | None = None) -> tuple[Tensor, Tensors]:
        """Run the fused path.

        Args:
            x: Word ids, int64 (N, T).
            state: State before the first word. None for `initial_state`.

        Returns:
            Logits after each word (N, T, classes), and the state after the last.
        """
        state = state if state is not None else self.initial_state(len(x))
        y = self.embedding_dropout(self.embedding(x))
        h_next = []
        for i, layer in enumerate(self.layers):
            y, h = layer(y if i == 0 else self.dropout(y), state["h"][i : i + 1].contiguous())
            h_next.append(h)
        maximum = torch.maximum(y, state["pool_max"].unsqueeze(1)).cummax(dim=1).values
        total = state["pool_sum"].unsqueeze(1) + y.cumsum(dim=1)
        count = state["pool_count"].unsqueeze(1) + torch.arange(1, x.shape[1] + 1, device=x.device).view(1, -1, 1)
        logits = self.head(self.head_dropout(torch.cat([maximum, total / count, y], dim=2)))
        last = {"pool_max": maximum[:, -1], "pool_sum": total[:, -1], "pool_count": count[:, -1]}
        return logits, {"h": torch.cat(h_next), **last}

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by T words, step by step: see `StreamingModel`.

        Returns:
            {"logits": (N, T, classes)} of the text up to each word, and the next state.
        """
        cells = [GRUCell.from_torch(cast(nn.GRU, layer)) for layer in self.layers]
        T = x.shape[1]
        y = self.embedding(x.t()).flatten(0, 1)  # (T * N, C)
        h_next, hidden = [], []
        for cell, h in zip(cells, state["h"].unbind(), strict=True):
            hidden = [h for (h,) in unroll(cell, by_step(cell.project(y), T).unbind(), (h,))]
            y = torch.cat(hidden)
            h_next.append(hidden[-1])
        features, last = _unroll_pools(hidden, state)
        logits = by_step(self.head(features), T).transpose(0, 1)
        return {"logits": logits}, {"h": torch.stack(h_next), **last}


def _unroll_pools(hidden: list[Tensor], state: Tensors) -> tuple[Tensor, Tensors]:
    """Return features (T * N, 3H) of T hidden states (N, H), and the next pools.

    Words are added one by one, in the order of arrival, so that any cut of a text gives the same bits.
    """
    maximum, total, count = state["pool_max"], state["pool_sum"], state["pool_count"]
    features: list[Tensor] = []
    for h in hidden:
        maximum, total, count = torch.maximum(maximum, h), total + h, count + 1
        features.append(torch.cat([maximum, total / count, h], dim=1))
    return torch.cat(features), {"pool_max": maximum, "pool_sum": total, "pool_count": count}
