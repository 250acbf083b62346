"""Bidirectional LSTM layers: two LSTMs over the same items, one in reverse (Schuster and Paliwal 1997).

Each direction is its own module, so that it can be exported as its own stage. Rows of a batch may differ in length:
each row is reversed only up to its own length, so its padding comes last in both directions. Unlike packed sequences,
this needs no lengths on the CPU.
"""

import torch
from torch import Tensor, nn

from training.models.streaming import Direction, by_step
from training.recurrence.cells import LSTMCell, unroll
from training.recurrence.initialisation import initialise_torch


class BidirectionalLSTM(nn.Module):
    """One layer in both directions.

    Args:
        input_size: C.
        hidden_size: H, of each direction.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.left_to_right = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.right_to_left = nn.LSTM(input_size, hidden_size, batch_first=True)
        for lstm in (self.left_to_right, self.right_to_left):
            initialise_torch(lstm)

    def lstm(self, direction: Direction) -> nn.LSTM:
        """Return the LSTM of a direction."""
        return self.left_to_right if direction == "forward" else self.right_to_left

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return features (N, T, 2H) of items x (N, T, C). Row i has `lengths[i]` real items; the rest is padding."""
        there, _ = self.left_to_right(x)
        back, _ = self.right_to_left(reverse_rows(x, lengths))
        return torch.cat([there, reverse_rows(back, lengths)], dim=2)

    def ends(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return both directions' last hidden states, (N, 2H), after items x (N, T, C) with `lengths` (N,)."""
        there, _ = self.left_to_right(x)
        back, _ = self.right_to_left(reverse_rows(x, lengths))
        return torch.cat([last_items(there, lengths), last_items(back, lengths)], dim=1)


def reverse_rows(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first `lengths` (N,) items of each row of x (N, T, C), leaving the padding in place."""
    t = torch.arange(x.shape[1], device=x.device)
    length = lengths.unsqueeze(1)
    source = torch.where(t < length, length - 1 - t, t)
    return x.gather(1, source.unsqueeze(2).expand_as(x))


def last_items(x: Tensor, lengths: Tensor) -> Tensor:
    """Return the last real item of each row of x (N, T, C) with `lengths` (N,): (N, C)."""
    return x[torch.arange(len(x), device=x.device), lengths - 1]


def unroll_lstm(cell: LSTMCell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM over items x (N, T, C), step by step, with one input projection for all steps.

    Returns:
        Hidden states (N, T, H), and the last h and c, (N, H) each.
    """
    T, C = x.shape[1:]
    projected = cell.project(x.transpose(0, 1).reshape(-1, C))  # (T * N, 4H)
    states = unroll(cell, by_step(projected, T).unbind(), (h, c))
    h, c = states[-1]
    return torch.stack([h for h, _ in states], dim=1), h, c
