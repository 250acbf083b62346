"""Calibration of a forecaster's bands: finds their widening from errors on rows that it was not trained on.

Split conformal prediction of quantiles (Romano, Patterson and Candes 2019, Conformalized Quantile Regression), except
that the score of a reading y is a ratio instead of a difference, so that it does not depend on the unit:

    score    = |y - median| / (median - q10), or / (q90 - median) where y is above the median
    widening = the quantile of all scores at the requested coverage

Their guarantee does not hold here: readings of a series are not exchangeable, overlapping forecasts share readings, and
the same rows choose the epoch. Coverage of the rows that the bands are fitted to is in-sample.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from training.forecasts.errors import Errors


def widening(errors: Iterable[Errors], coverage: float) -> float:
    """Return the factor by which 80 % bands must be widened to cover a share. All `errors` have the same weight."""
    shares = np.linspace(0, 1, 1001)
    scores = [np.quantile(torch.cat(each.conformity_scores).cpu().numpy(), shares) for each in errors]
    return float(np.quantile(np.concatenate(scores), coverage))


def widening_by_segment(errors: Errors, segment: int, coverage: float) -> NDArray[np.float64]:
    """Return the factor for each segment ahead, float64 (H / S,). A rest of readings belongs to the last segment."""
    scores = torch.cat(errors.conformity_scores).cpu().numpy()  # (N, H)
    borders = range(segment, scores.shape[1] - segment + 1, segment)
    return np.array([np.quantile(part, coverage) for part in np.split(scores, borders, axis=1)])
