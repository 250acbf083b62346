"""Tokens in, logits of the next token out: an embedding, layers of LSTM, a linear head.

Training runs torch's fused LSTM. Export and serving use `unroll`, which computes the same numbers step by step.
"""

from typing import Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import embedding

from training.models.dropout import LockedDropout
from training.models.streaming import StatefulModule, StateTensor, Tensors, by_step
from training.recurrence.cells import LSTMCell, unroll
from training.recurrence.initialisation import initialise_torch
from training.settings import Section

# The logit of a token that cannot follow. Its probability is 0 at every temperature up to 10.
IMPOSSIBLE_LOGIT = -1e4

Cell = Literal["lstm", "mingru"]
# The cells that each setting is for. Settings that are not listed are for all cells.
CELL_SPECIFIC: dict[str, tuple[Cell, ...]] = {
    "forget_bias": ("lstm",),
    "kernel_size": ("mingru",),
    "mlp_size": ("mingru",),
}


class GenerationModelSettings(Section):
    """Cell, sizes and regularisation. Settings of the cell that is not chosen must keep their defaults."""

    cell: Cell = "lstm"
    embedding_size: int = Field(default=64, ge=1)
    hidden_size: int = Field(default=256, ge=1)
    layers: int = Field(default=2, ge=1)
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="variational dropout between layers and before the head"
    )
    forget_bias: float = Field(default=1.0, description="initial forget bias of the LSTM")
    kernel_size: int = Field(
        default=4, ge=2, description="characters in minGRU's convolution, including the current one"
    )
    mlp_size: int = Field(default=512, ge=1, description="hidden units of minGRU's perceptron")

    @model_validator(mode="after")
    def _only_settings_of_the_cell(self) -> Self:
        fields = type(self).model_fields
        for name, cells in CELL_SPECIFIC.items():
            if self.cell not in cells and getattr(self, name) != fields[name].default:
                raise ValueError(f"{name} is for cell={' or '.join(cells)} and has no effect on {self.cell}")
        return self


class GenerationModel(StatefulModule):
    """A language model.

    Args:
        vocabulary_size: V, the number of tokens: characters, words or notes.
        settings: Sizes and regularisation.
        successors: Which tokens (columns) may follow each token (row), bool (V, V). None allows all.
    """

    def __init__(
        self, vocabulary_size: int, settings: GenerationModelSettings, successors: Tensor | None = None
    ) -> None:
        super().__init__()
        L, H = settings.layers, settings.hidden_size
        self.cell = settings.cell
        self.vocabulary_size = vocabulary_size
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding_size)
        sizes = [settings.embedding_size] + [H] * (L - 1)
        lstms = [nn.LSTM(C, H, batch_first=True) for C in sizes]
        self.layers = nn.ModuleList(lstms)
        self.dropout = LockedDropout(settings.dropout)
        self.head = nn.Linear(H, vocabulary_size)
        self.register_buffer("successors", successors, persistent=False)
        self.state = (
            StateTensor("h", "float32", (L, "N", H)),
            StateTensor("c", "float32", (L, "N", H)),
            StateTensor("pending_logits", "float32", ("N", vocabulary_size)),
        )
        for layer in lstms:
            initialise_torch(layer, settings.forget_bias)

    def forward(self, x: Tensor, state: Tensors | None = None) -> tuple[Tensor, Tensors]:
        """Run the fused path.

        Args:
            x: Token ids, int64 (N, T).
            state: State before the first token. None for `initial_state`.

        Returns:
            Logits (N, T, V), and the state after the last token.
        """
        state = state if state is not None else self.initial_state(x.shape[0])
        y = self.embedding(x)
        h_next, c_next = [], []
        for layer, h, c in zip(self.layers, state["h"].unsqueeze(1), state["c"].unsqueeze(1), strict=True):
            y, (h, c) = layer(y, (h.contiguous(), c.contiguous()))
            y = self.dropout(y)
            h_next.append(h)
            c_next.append(c)
        logits = self._mask_impossible(self.head(y), x)
        return logits, {"h": torch.cat(h_next), "c": torch.cat(c_next), "pending_logits": logits[:, -1]}

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by T tokens, step by step: see `StreamingModel`.

        Returns:
            {"logits": (N, T, V)}, and the next state, whose pending_logits are those of the next token.
        """
        cells = [LSTMCell.from_torch(cast(nn.LSTM, layer)) for layer in self.layers]
        T = x.shape[1]
        # Projecting the embedding table instead of the input lets onnxruntime fold the product when it loads a graph.
        table = cells[0].project(self.embedding.weight)  # (V, 4H)
        projected = [embedding(x_t, table) for x_t in x.t().unbind()]  # T times (N, 4H)
        h_next, c_next, hidden = [], [], torch.empty(0)
        for i, (cell, h, c) in enumerate(zip(cells, state["h"].unbind(), state["c"].unbind(), strict=True)):
            if i > 0:
                projected = list(by_step(cell.project(hidden), T).unbind())
            states = unroll(cell, projected, (h, c))
            hidden = torch.cat([h for h, _ in states])  # (T * N, H)
            h_next.append(states[-1][0])
            c_next.append(states[-1][1])
        logits = self._mask_impossible(by_step(self.head(hidden), T), x.t())  # (T, N, V)
        next_state = {"h": torch.stack(h_next), "c": torch.stack(c_next), "pending_logits": logits[-1]}
        return {"logits": logits.transpose(0, 1)}, next_state

    def _mask_impossible(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Replace the logits (..., V) of tokens that cannot follow tokens (...) by IMPOSSIBLE_LOGIT."""
        successors = cast(Tensor | None, self.successors)
        return logits if successors is None else torch.where(successors[tokens], logits, IMPOSSIBLE_LOGIT)
