"""Which windows a forecaster of windows is trained on, and what counts in its loss."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.utils._pytree import tree_leaves

from tests.training.learning import assert_learns
from training.data import etth1
from training.data.source import DataError
from training.data.table import Table
from training.forecasts import bands
from training.forecasts import data as forecasts_data
from training.forecasts.backtest import Backtest, Channels, errors_by_kind
from training.forecasts.data import DataSettings
from training.forecasts.errors import Errors
from training.models.window_forecaster import WindowForecaster, WindowForecasterSettings
from training.tasks.window_forecasting import (
    StartSettings,
    WindowForecastingSettings,
    WindowForecastingTask,
    WindowLossSettings,
    horizon_weights,
)

CHANNELS, ROWS, H = 3, 8640, 720


@pytest.fixture
def readings() -> np.ndarray:
    return np.arange(etth1.SPLITS["test"].stop)[:, None] + 100_000.0 * np.arange(CHANNELS)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, readings: np.ndarray) -> WindowForecastingTask:
    monkeypatch.setattr(etth1, "load", lambda: Table(etth1.CHANNELS[:CHANNELS], readings))
    published = replace(etth1.PUBLISHED, channels=etth1.CHANNELS[:CHANNELS])
    monkeypatch.setitem(forecasts_data.PUBLISHED, "etth1", published)
    return WindowForecastingTask(
        WindowForecastingSettings(
            data=DataSettings(choice_stride=1000),
            model=WindowForecasterSettings(hidden_size=8, dropout=0.0),
            windows=StartSettings(starts=512, known_share=0.5),
            loss=WindowLossSettings(horizons=(96, 720)),
        )
    )


def test_items_are_the_readings_of_the_windows(task: WindowForecastingTask) -> None:
    assert task.count_items(next(task.train_batches(0))) == 512 * CHANNELS * task.settings.model.look_back


def test_an_epoch_shows_every_window_at_most_once(task: WindowForecastingTask) -> None:
    batches = list(task.train_batches(0))
    assert len(batches) == task.batches_per_epoch() == (ROWS - 96 - 96 + 1) // 512
    first = torch.cat([batch.past[::CHANNELS, 0] for batch in batches])
    assert len(first.unique()) == len(first) == 512 * len(batches)


def test_an_epoch_can_be_drawn_again_and_the_next_is_another(task: WindowForecastingTask) -> None:
    first, again, other = (next(task.train_batches(epoch)) for epoch in (0, 0, 1))
    assert all(map(torch.equal, tree_leaves(first), tree_leaves(again)))
    assert not torch.equal(first.past, other.past)


def test_the_future_follows_the_past_and_ends_with_the_training_rows(task: WindowForecastingTask) -> None:
    scaler = task.series.scaler
    for batch in task.train_batches(0):
        channel = torch.arange(CHANNELS).repeat(512)
        mean, deviation = (torch.from_numpy(values)[channel].unsqueeze(1) for values in (scaler.mean, scaler.deviation))
        rows = torch.cat([batch.past, batch.future], dim=1) * deviation + mean - 100_000 * channel.unsqueeze(1)
        row = rows[:, :1] + torch.arange(96 + H)
        assert torch.equal(batch.is_known, row[:, 96:].round() < ROWS)
        is_known = torch.cat([torch.ones(len(row), 96, dtype=torch.bool), batch.is_known], dim=1)
        torch.testing.assert_close(rows[is_known], row[is_known])
        assert batch.is_known.sum(dim=1).min() >= 96


def test_channels_are_told_by_number_level_and_scale_or_not_at_all(task: WindowForecastingTask) -> None:
    batch = next(task.train_batches(0))
    is_known_channel = batch.static_features.channel > 0
    assert 0.4 < is_known_channel.double().mean() < 0.6
    assert torch.equal(is_known_channel, batch.static_features.unit > 0)
    numbers = torch.arange(1, CHANNELS + 1).repeat(512).unsqueeze(1)
    assert torch.equal(batch.static_features.channel[is_known_channel], numbers[is_known_channel])


@pytest.mark.parametrize(("falloff", "later"), [(0, 1 / 3), (1, 1 / 3 * 2 / 3)])
def test_a_reading_counts_in_the_mean_of_each_horizon_that_it_does_not_exceed(falloff: float, later: float) -> None:
    weights = horizon_weights((2, 3), falloff, 4)
    torch.testing.assert_close(weights, torch.tensor([1 / 2 + later, 1 / 2 + later, later, 0.0]))


def test_the_loss_ignores_what_is_unknown(task: WindowForecastingTask) -> None:
    batch = next(task.train_batches(0))
    spoiled = batch._replace(future=torch.where(batch.is_known, batch.future, 1e6))
    model = task.build_model().requires_grad_(False)
    losses = []
    for rows in (batch, spoiled):
        torch.manual_seed(0)  # the same quantiles
        losses.append(float(task.loss(model, rows, None)[0]))
    assert not batch.is_known.all()
    assert losses[0] == losses[1]


def test_training_lowers_the_loss(task: WindowForecastingTask) -> None:
    assert_learns(task)


def test_streams_err_as_windows_do_and_are_not_measured_again(task: WindowForecastingTask) -> None:
    torch.manual_seed(0)
    model = task.build_model().eval().requires_grad_(False)
    task.initialise(model)
    channels = Channels.known(task.series.standardized, task.series.splits["train"])
    backtest = Backtest(model, channels, task.series.splits["dev"], task.series.protocol, stride=500)
    windowed = backtest.windowed(96).figures()
    streamed = backtest.streamed(96, phases=(7,)).figures()
    assert streamed == pytest.approx(windowed, rel=1e-6)
    assert set(task.validate(model)) == {"relative_mse", "windowed_relative_mse", "widening"}


def test_too_few_rows_are_refused(task: WindowForecastingTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowForecastingTask, "train_readings", np.zeros((150, CHANNELS)))
    with pytest.raises(DataError, match=r"^42 more training rows"):
        task.batches_per_epoch()


def test_bands_of_each_segment_become_as_wide_as_they_must_be(task: WindowForecastingTask) -> None:
    torch.manual_seed(0)
    model = task.build_model().eval().requires_grad_(False)
    model.spread.bias.fill_(-6.0)  # far too narrow
    task.validate(model)
    assert model.widening.shape == (2, 30)
    assert model.widening.min() > 2
    assert model.widening.unique().numel() > 2
    channels = Channels.known(task.series.standardized, task.series.splits["train"])
    errors = errors_by_kind(task.choosing(model, channels))
    found = bands.widening_by_segment(errors["windowed"][-1], 24, task.settings.bands.coverage)
    np.testing.assert_allclose(found, np.ones(30), rtol=1e-4)
    assert errors["windowed"][-1].figures()["coverage_80"] == pytest.approx(task.settings.bands.coverage, abs=2e-3)


def test_horizons_that_leave_segments_untaught_are_refused() -> None:
    with pytest.raises(ValidationError, match="all 30 segments"):
        WindowForecastingSettings(loss=WindowLossSettings(horizons=(96,)))


@pytest.mark.parametrize(("H", "segments"), [(12, 1), (24, 1), (36, 1), (60, 2)])
def test_readings_beyond_whole_segments_widen_the_last_one(H: int, segments: int) -> None:
    errors = Errors(keeps_scores=True, conformity_scores=[torch.arange(5.0 * H).view(5, H)])
    assert len(bands.widening_by_segment(errors, 24, 0.8)) == segments


def test_pictures_are_of_horizons_that_the_model_has(task: WindowForecastingTask, tmp_path: Path) -> None:
    settings = WindowForecasterSettings(max_segments=8, hidden_size=8)
    model = WindowForecaster(settings, task.channel_names).eval().requires_grad_(False)
    assert task.choosing(model, Channels.unknown(task.series.standardized)).horizons == [96, 192]
    task.plot(model, "dev", tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 2
