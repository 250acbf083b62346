"""Errors of forecasts and of their bands, accumulated over many forecasts. Independent of models and data."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.models.forecaster import MIDDLE, QUANTILE_LEVELS

LOW, HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


@dataclass
class Errors:
    """Sums over forecasts, from which the figures are computed.

    Args:
        keeps_scores: Whether to keep each reading's distance from the median, in half widths of the 80 % band.
    """

    keeps_scores: bool = False
    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    below: Tensor = field(default_factory=lambda: torch.zeros(len(QUANTILE_LEVELS), dtype=torch.float64))
    conformity_scores: list[Tensor] = field(default_factory=list)

    def add(self, mean: Tensor, quantiles: Tensor, actual: Tensor, seasonal: Tensor) -> None:
        """Add the errors of forecasts.

        Args:
            mean: Point forecasts, (N, H).
            quantiles: Quantiles, (N, H, Q).
            actual: True readings, (N, H).
            seasonal: Seasonal naive forecasts, which repeat the last season, (N, H).
        """
        error = mean - actual
        self.count += error.numel()
        self._add("mse", error.square())
        self._add("mae", error.abs())
        self._add("coverage_80", (quantiles[..., LOW] <= actual) & (actual <= quantiles[..., HIGH]))
        self._add("smape", _symmetric_error(mean, actual))
        self._add("seasonal_smape", _symmetric_error(seasonal, actual))
        self._add("pinball", pinball(quantiles, actual))
        self._add("seasonal_mse", (seasonal - actual).square())
        self._add("seasonal_mae", (seasonal - actual).abs())
        self._add("seasonal_pinball", pinball(seasonal.unsqueeze(2), actual))
        self._add("size", actual.abs())
        if self.keeps_scores:
            self.conformity_scores.append(_conformity_scores(quantiles, actual))
        self.below = self.below + (actual.unsqueeze(2) <= quantiles).double().sum(dim=(0, 1)).cpu()

    def _add(self, name: str, values: Tensor) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + float(values.double().sum())

    def figures(self) -> dict[str, float]:
        """Return means over all forecast readings, by name.

        wql is the weighted quantile loss of GluonTS, 2 pinball / size. It is left out if all readings are 0.
        """
        names = ("mse", "mae", "smape", "coverage_80", "seasonal_mse", "seasonal_mae", "seasonal_smape")
        figures = {name: self.sums[name] / self.count for name in names}
        if self.sums["size"] > 0:
            figures["wql"] = 2 * self.sums["pinball"] / self.sums["size"]
            figures["seasonal_wql"] = 2 * self.sums["seasonal_pinball"] / self.sums["size"]
        return figures

    def relative_mse(self) -> float:
        """Return the MSE relative to the seasonal naive forecast's, or the MSE itself if that forecast was exact."""
        figures = self.figures()
        return figures["mse"] / (figures["seasonal_mse"] or 1.0)

    def calibration(self) -> dict[float, float]:
        """Return the share of readings at or below each quantile, by level."""
        return dict(zip(QUANTILE_LEVELS, (self.below / self.count).tolist(), strict=True))


def pinball(quantiles: Tensor, actual: Tensor) -> Tensor:
    """Return the pinball loss, (...): the mean over levels a of max(a e, (a - 1) e) with e = actual - quantile.

    Args:
        quantiles: (..., Q).
        actual: (...).
    """
    levels = torch.tensor(QUANTILE_LEVELS, dtype=actual.dtype, device=actual.device)
    error = actual.unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)


def _symmetric_error(forecast: Tensor, actual: Tensor) -> Tensor:
    """Return the error as a share of the mean of both sizes, in any unit. 0 where both are 0."""
    size = forecast.abs() + actual.abs()
    return 2 * (forecast - actual).abs() / torch.where(size > 0, size, 1.0)


def _conformity_scores(quantiles: Tensor, actual: Tensor) -> Tensor:
    """Return the distance of readings from the median, in widths of the 80 % band on their side, (N, H)."""
    low, middle, high = (quantiles[..., index] for index in (LOW, MIDDLE, HIGH))
    width = torch.where(actual < middle, middle - low, high - middle)
    distance = (actual - middle).abs()
    return torch.where(width > 0, distance / torch.where(width > 0, width, 1.0), torch.where(distance > 0, 10.0, 0.0))
