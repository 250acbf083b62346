"""How much wider the bands of a forecaster must be than it was trained, by its errors on rows that it has not seen.

Split conformal prediction of quantiles (Romano, Patterson and Candes 2019, Conformalized Quantile Regression), but for
the score of a reading y, which is a ratio here and a difference there, so that it means the same in any unit:

    reach    = |y - median| / (median - q10), or / (q90 - median) where y is above the median
    widening = the quantile of all reaches at the coverage that is asked for

There is no guarantee as theirs: readings of a series are not exchangeable, those of overlapping forecasts are the same
ones, and the rows choose the epoch too. What bands cover of the rows that they are fitted to is in-sample.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from training.forecasts.errors import Errors


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
