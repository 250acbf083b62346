"""Characters in, logits of the next character out: an embedding, blocks of minGRU, a linear head.

A block, as in Feng et al. (2024, arXiv:2410.01201, section 4.2), is residual: a causal convolution over the latest
characters, minGRU and a linear map, then a perceptron, each pair behind a layer normalisation:

    u = norm(y);  m_t = sum_k taps_k * u_{t-K+1+k};  y = y + minGRU(m) Wo + bo
    y = y + relu(norm(y) W1 + b1) W2 + b2

Training scans all steps at once. Export and serving use `unroll`, in which only the recurrence runs step by step. The
latest K - 1 inputs of the convolution are part of the state.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from training.models.dropout import LockedDropout
from training.models.generation import GenerationModelSettings
from training.models.streaming import StatefulModule, StateTensor, Tensors, by_step
from training.recurrence.mingru import MinGRUCell

Recurrence = Callable[[MinGRUCell, Tensor, Tensor], Tensor]  # x (T, N, C) and h_0 (N, H) to all h (T, N, H)


class MinGRUBlock(nn.Module):
    """One residual block over T steps. Rows are ordered by step, then by sequence.

    Args:
        size: D, of inputs and outputs.
        settings: Sizes and regularisation.
    """

    def __init__(self, size: int, settings: GenerationModelSettings) -> None:
        super().__init__()
        H, K = settings.hidden_size, settings.kernel_size
        self.norm = nn.LayerNorm(size)
        self.taps = nn.Parameter(torch.zeros(K, size))
        self.cell = MinGRUCell(size, H)
        self.out = nn.Linear(H, size)
        self.mlp_norm = nn.LayerNorm(size)
        self.up = nn.Linear(size, settings.mlp_size)
        self.down = nn.Linear(settings.mlp_size, size)
        self.dropout = LockedDropout(settings.dropout)
        nn.init.ones_(self.taps.detach()[-1])  # the convolution starts as the identity

    def forward(
        self, y: Tensor, T: int, h: Tensor, past: Tensor, recurrence: Recurrence
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance by T steps.

        Args:
            y: float32 (T * N, D).
            T: Number of steps.
            h: Hidden state, float32 (N, H).
            past: The latest inputs of the convolution, oldest first, float32 (K - 1, N, D).
            recurrence: Computes the hidden states of all steps.

        Returns:
            y after the block, and the next h and past.
        """
        inputs = torch.cat([past, by_step(self.norm(y), T)])  # (K - 1 + T, N, D)
        mixed = self.taps[0] * inputs[:T]
        for k in range(1, len(self.taps)):
            mixed = mixed + self.taps[k] * inputs[k : k + T]
        hidden = recurrence(self.cell, mixed, h)
        y = y + _dropped(self.dropout, self.out(hidden.flatten(0, 1)), T)
        y = y + _dropped(self.dropout, self.down(relu(self.up(self.mlp_norm(y)))), T)
        return y, hidden[-1], inputs[T:]


class MinGRUModel(StatefulModule):
    """A character language model that trains in parallel over time steps.

    Args:
        vocabulary_size: V, the number of characters.
        settings: Sizes and regularisation.
    """

    def __init__(self, vocabulary_size: int, settings: GenerationModelSettings) -> None:
        super().__init__()
        D, L, H, K = settings.embedding_size, settings.layers, settings.hidden_size, settings.kernel_size
        self.cell = settings.cell
        self.vocabulary_size = vocabulary_size
        self.embedding = nn.Embedding(vocabulary_size, D)
        self.layers = nn.ModuleList(MinGRUBlock(D, settings) for _ in range(L))
        self.norm = nn.LayerNorm(D)
        self.dropout = LockedDropout(settings.dropout)
        self.head = nn.Linear(D, vocabulary_size)
        self.state = (
            StateTensor("h", "float32", (L, "N", H)),
            StateTensor("past", "float32", (L * (K - 1), "N", D)),
            StateTensor("pending_logits", "float32", ("N", vocabulary_size)),
        )

    def forward(self, x: Tensor, state: Tensors | None = None) -> tuple[Tensor, Tensors]:
        """Return logits (N, T, V) of x, int64 (N, T), and the next state, by parallel scan. None is a fresh state."""
        return self.advance(x, state if state is not None else self.initial_state(x.shape[0]), MinGRUCell.scan)

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by T characters, step by step: see `StreamingModel`.

        Returns:
            {"logits": (N, T, V)}, and the next state, whose pending_logits are those of the next character.
        """
        logits, next_state = self.advance(x, state, MinGRUCell.step_by_step)
        return {"logits": logits}, next_state

    def advance(self, x: Tensor, state: Tensors, recurrence: Recurrence) -> tuple[Tensor, Tensors]:
        """Return logits (N, T, V) and the next state, with the hidden states computed by `recurrence`."""
        T, L = x.shape[1], len(self.layers)
        y = self.embedding(x.t()).flatten(0, 1)  # (T * N, D)
        h_next, past_next = [], []
        for layer, h, past in zip(self.layers, state["h"].unbind(), state["past"].chunk(L), strict=True):
            y, h, past = layer(y, T, h, past, recurrence)
            h_next.append(h)
            past_next.append(past)
        logits = by_step(self.head(_dropped(self.dropout, self.norm(y), T)), T)  # (T, N, V)
        next_state = {"h": torch.stack(h_next), "past": torch.cat(past_next), "pending_logits": logits[-1]}
        return logits.transpose(0, 1), next_state


def _dropped(dropout: LockedDropout, rows: Tensor, T: int) -> Tensor:
    """Apply dropout to rows (T * N, D) with one mask for all steps of a sequence."""
    if not dropout.training:
        return rows
    dropped: Tensor = dropout(by_step(rows, T).transpose(0, 1)).transpose(0, 1)
    return dropped.flatten(0, 1)
