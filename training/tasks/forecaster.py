"""The base of the forecasting tasks: data, choice of the epoch, calibration of the bands, figures and plots."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import ClassVar, Self, TypeVar, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.data.interval import plural
from training.data.series import Series
from training.data.source import DataError
from training.data.table import level_and_scale
from training.forecasts import bands
from training.forecasts.backtest import Backtest, Channels, Readings, errors_by_kind, figures_of, own_unit_figures
from training.forecasts.data import DataSettings
from training.forecasts.errors import Errors
from training.models.forecaster import Forecaster, ForecasterModelSettings
from training.plots.forecasts import draw_backtest, draw_calibration
from training.settings import Section, Settings
from training.tasks.task import Goal, Task

FROM_THE_FIRST_ROW = (0,)  # like a session that is sent a user's whole history
STANDARDISED = "standardised_"
NARROWEST = 0.25  # of the trained width: dev rows may be few, or all alike


class BandSettings(Section):
    """Calibration of the bands."""

    # This makes ETTh1's bands about as wide as the earlier rule did, which covered each horizon at 76 % and so let a
    # single horizon decide (docs/log.md).
    coverage: float = Field(
        default=0.785, gt=0, lt=1, description="share of dev readings that the 80 % bands are fitted to cover"
    )


class ForecasterSettings(Settings):
    """Settings of a run."""

    data: DataSettings = DataSettings()
    model: ForecasterModelSettings = ForecasterModelSettings()
    bands: BandSettings = BandSettings()

    @model_validator(mode="after")
    def _can_be_measured(self) -> Self:
        longest, shortest = self.model.max_segments * self.model.segment, min(self.data.chosen.protocol.horizons)
        if longest < shortest:
            raise ValueError(
                f"model.max_segments={self.model.max_segments} of model.segment={self.model.segment} are {longest} "
                f"readings ahead, and the shortest horizon that is measured is {shortest}"
            )
        return self


AnyForecasterSettings = TypeVar("AnyForecasterSettings", bound=ForecasterSettings)


class ForecasterTask(Task[AnyForecasterSettings]):
    """Trains a `Forecaster` on a data set."""

    goal = Goal("relative_mse", "lower")
    throughput_unit = "reading"
    units: ClassVar[dict[str, str]] = {
        "dev_relative_mse": "MSE, share of seasonal naive",
        "dev_windowed_relative_mse": "MSE, share of seasonal naive",
        "dev_streamed_relative_mse": "MSE, share of seasonal naive",
    }

    def __init__(self, settings: AnyForecasterSettings, tokenizer: None = None) -> None:
        super().__init__(settings, tokenizer)
        self.sources = (settings.data.chosen.source,)

    @property
    @abstractmethod
    def knows_channels(self) -> bool:
        """Whether the model is given the typical level and scale of its channels."""

    @cached_property
    def series(self) -> Series:
        """The data set."""
        return self.settings.data.chosen.load()

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels that the model knows."""
        return self.settings.data.chosen.channels if self.knows_channels else ()

    @property
    def interval(self) -> str:
        """Time between two readings, for instance "1 hour"."""
        return self.settings.data.chosen.interval

    @property
    def train_readings(self) -> Readings:
        """The standardised training rows, float64 (rows, channels)."""
        rows = self.series.splits["train"]
        return self.series.standardized[rows.start : rows.stop]

    def initialise(self, model: nn.Module) -> None:
        """Set each channel's typical level and scale to those of its training rows, in their own units."""
        forecaster = cast(Forecaster, model)
        if forecaster.channels:
            rows = self.series.splits["train"]
            center, unit = level_and_scale(self.series.table.readings[rows.start : rows.stop])
            forecaster.centers.copy_(torch.from_numpy(center))
            forecaster.units.copy_(torch.from_numpy(unit))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure MSE relative to the seasonal naive forecast's, over all horizons: windowed, streamed, and both.

        Sets the widening of the bands so that 80 % bands cover `bands.coverage` of the dev readings. From then on,
        coverage of the dev rows is an in-sample figure; see `training.forecasts.bands`.
        """
        forecaster = cast(Forecaster, model)
        forecaster.widening.fill_(1.0)
        errors = errors_by_kind(self.choosing(forecaster, self._channels))
        forecaster.widening.copy_(self.needed_widening(forecaster, errors)).clamp_(min=NARROWEST)
        return _choosing_figures(forecaster, errors)  # figures of means, which widening does not change

    def choosing(self, model: Forecaster, channels: Channels) -> Backtest:
        """Return the backtest that chooses the epoch: every `choice_stride`-th origin of the dev rows."""
        rows, protocol = self.series.splits["dev"], self.series.protocol
        return Backtest(model, channels, rows, protocol, self.settings.data.choice_stride, keeps_scores=True)

    def needed_widening(self, model: Forecaster, errors: Mapping[str, list[Errors]]) -> Tensor:
        """Compute the widening that the bands need, in the shape of the model's `widening`.

        Args:
            model: The model, with a widening of 1.
            errors: Its errors on the dev rows; see `errors_by_kind`.
        """
        return torch.tensor(bands.widening(chain(*errors.values()), self.settings.bands.coverage))

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure by the published protocol and in a stream, at each horizon; see `figures_of`."""
        if split == "train" or split not in self.series.splits:
            raise DataError(f"{self.name} has no {split} split, only {' and '.join(self._evaluated_splits)}")
        backtest = self._backtest(model, split)
        is_own = self.settings.data.own is not None
        figures = _of_own_data(figures_of(backtest, FROM_THE_FIRST_ROW)) if is_own else figures_of(backtest)
        if self.series.protocol.look_back is None:
            own_units = replace(backtest, channels=self._as_the_model_knows(self.series.table.readings))
            figures |= own_unit_figures(own_units, self.series.splits["train"])
        return figures

    def verdict(self, figures: Mapping[str, float]) -> str:
        """Say whether forecasts of a user's own readings beat repeating the last season."""
        own = self.settings.data.own
        if own is None or (naive := figures.get(f"seasonal_mase_h{own.horizon}")) is None:
            return ""
        repeated = "season" if own.naive_season > 1 else "reading"
        if naive == 0:
            return f"repeating the last {repeated} is exactly right in all of the backtest: no forecast can be better"
        ratio = figures[f"mase_h{own.horizon}"] / naive
        measured = (
            f"forecasts of {plural(own.horizon, 'reading')} are off by {ratio:.2f} times as much as those that repeat"
        )
        advice = "" if ratio < 1 else "; more rows, another --season or more epochs may help"
        return f"{measured} the last {repeated}{advice}"

    def _backtest(self, model: nn.Module, split: str) -> Backtest:
        return Backtest(cast(Forecaster, model), self._channels, self.series.splits[split], self.series.protocol)

    @cached_property
    def _channels(self) -> Channels:
        return self._as_the_model_knows(self.series.standardized)

    def _as_the_model_knows(self, readings: Readings) -> Channels:
        train = self.series.splits["train"]
        return Channels.known(readings, train) if self.knows_channels else Channels.unknown(readings)

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw forecasts against the actual readings, and the calibration of the quantiles."""
        backtest = self._backtest(model, split)
        H = backtest.horizons[-1]
        picture = directory / f"backtest-{split}.png"
        draw_backtest(picture, backtest.model, self.series, backtest.rows, H)
        calibration = backtest.streamed(H).calibration()
        draw_calibration(directory / f"calibration-{split}.png", calibration, H)

    @property
    def _evaluated_splits(self) -> list[str]:
        return [split for split in self.series.splits if split != "train"]


def _of_own_data(figures: Mapping[str, float]) -> dict[str, float]:
    """Prefix figures in standard deviations of the training rows, to tell them from those in the file's units."""
    errors = ("mse_", "mae_", "seasonal_mse_", "seasonal_mae_")
    return {f"{STANDARDISED if name.startswith(errors) else ''}{name}": value for name, value in figures.items()}


def _choosing_figures(model: Forecaster, errors: Mapping[str, list[Errors]]) -> dict[str, float]:
    ratios = {
        f"{name}_relative_mse": fmean(each.relative_mse() for each in of_horizons)
        for name, of_horizons in errors.items()
    }
    return {
        "relative_mse": sum(ratios.values()) / len(ratios),
        **ratios,
        "widening": float(model.widening.mean()),
    }
