"""How much wider the bands of a forecaster must be than it was trained, by its errors on rows that it has not seen."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from training.tasks.forecast_errors import Errors


def widening(errors: Iterable[Errors], coverage: float) -> float:
    """By how much bands must be wider, or narrower, so that those of 80 % cover this share, of each errors alike."""
    shares = np.linspace(0, 1, 1001)
    reach = [np.quantile(torch.cat(each.reach).cpu().numpy(), shares) for each in errors]
    return float(np.quantile(np.concatenate(reach), coverage))


def widening_by_segment(errors: Errors, segment: int, coverage: float) -> NDArray[np.float64]:
    """The same of each segment ahead, (H / S,); readings beyond whole segments count with the last one."""
    reach = torch.cat(errors.reach).cpu().numpy()  # (N, H)
    borders = range(segment, reach.shape[1] - segment + 1, segment)
    return np.array([np.quantile(part, coverage) for part in np.split(reach, borders, axis=1)])
