"""Dropout for sequences."""

from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Variational dropout: the mask is the same at all steps (Gal and Ghahramani 2016, arXiv:1512.05287).

    Args:
        rate: Probability of zeroing a feature. The others are multiplied by 1 / (1 - rate).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Mask the same features of x (N, T, C) at all T steps, in training only."""
        if not self.training or self.rate == 0:
            return x
        N, _, C = x.shape
        keep = 1 - self.rate
        return x * x.new_empty(N, 1, C).bernoulli_(keep).div_(keep)
