"""Dropout for sequences."""

from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Dropout whose mask is the same at all steps of a sequence (Gal and Ghahramani 2016, arXiv:1512.05287).

    Args:
        rate: Share of features that is set to 0. The others are multiplied by 1 / (1 - rate).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Mask features of x (N, T, C) for all T steps at once, in training only."""
        if not self.training or self.rate == 0:
            return x
        N, _, C = x.shape
        keep = 1 - self.rate
        return x * x.new_empty(N, 1, C).bernoulli_(keep).div_(keep)
