"""Which windows the forecaster is trained on, and that its loss looks only at what it may."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.training.learning import assert_learns
from training import settings
from training.data import etth1
from training.data.table import Table
from training.forecasts import data as forecasts_data
from training.forecasts.backtest import Channels, errors_by_kind
from training.forecasts.data import DataSettings, OwnSeries
from training.forecasts.windows import Batch, WindowSettings, _level_and_scale, draw_windows
from training.models.streaming_forecaster import StreamingForecasterSettings
from training.settings import SettingsError
from training.tasks import registry
from training.tasks.forecasting import ForecastingSettings, ForecastingTask, LossSettings

ROWS, CHANNELS = 1500, 5
SEGMENT, MAX_SEGMENTS = 24, 30
WINDOWS = WindowSettings(
    rows=11, batches=3, short_segments=4, long_segments=6, origins=2, mixed_share=0.0, blended_share=0.0
)


@pytest.fixture
def readings() -> NDArray[np.float64]:
    """Row r of channel c is r + 10,000 c: every reading tells where it comes from."""
    return np.arange(ROWS)[:, None] + 10_000.0 * np.arange(CHANNELS)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> ForecastingTask:
    hours = np.arange(etth1.SPLITS["test"].stop)[:, None]
    readings = np.sin(hours * 2 * np.pi / 24 + np.arange(CHANNELS)) + np.sin(hours / 300.0)
    monkeypatch.setattr(etth1, "load", lambda: Table(etth1.CHANNELS[:CHANNELS], readings))
    published = replace(etth1.PUBLISHED, channels=etth1.CHANNELS[:CHANNELS])
    monkeypatch.setitem(forecasts_data.PUBLISHED, "etth1", published)
    model = StreamingForecasterSettings(embedding_size=5, hidden_size=7, dropout=0.0)
    data = DataSettings(choice_stride=1000)
    return ForecastingTask(
        ForecastingSettings(data=data, model=model, windows=WINDOWS, loss=LossSettings(far_segments=2))
    )


def draw(readings: NDArray[np.float64], windows: WindowSettings = WINDOWS, seed: int = 0) -> Batch:
    return draw_windows(readings, SEGMENT, MAX_SEGMENTS, windows, np.random.default_rng(seed))


def test_items_are_the_readings_of_the_windows(task: ForecastingTask) -> None:
    assert {task.count_items(batch) // SEGMENT for batch in task.train_batches(0)} <= {11 * 4, 11 * 6}


def test_a_window_is_one_channel_hour_by_hour(readings: NDArray[np.float64]) -> None:
    batch = draw(readings)
    for row, known in zip(batch.readings, batch.known, strict=True):
        known_steps = row[: int(known)].diff()
        assert torch.equal(known_steps, torch.ones_like(known_steps))


def test_what_is_unknown_lies_after_the_training_rows(readings: NDArray[np.float64]) -> None:
    batch = draw(readings)
    for row, known in zip(batch.readings, batch.known, strict=True):
        assert float(row[min(int(known), len(row)) - 1]) % 10_000 <= ROWS - 1
        assert torch.equal(row[int(known) :] % 10_000, torch.full_like(row[int(known) :], ROWS - 1))


def test_a_window_is_long_enough_for_its_segments_and_the_longest_horizon(readings: NDArray[np.float64]) -> None:
    lengths = {draw(readings, seed=seed).readings.shape[1] // SEGMENT - 1 - MAX_SEGMENTS for seed in range(20)}
    assert lengths == {WINDOWS.short_segments, WINDOWS.long_segments}


def test_every_phase_and_every_number_of_pending_readings_is_drawn(readings: NDArray[np.float64]) -> None:
    batches = [draw(readings, seed=seed) for seed in range(60)]
    starts = {int(start) % SEGMENT for batch in batches for start in batch.readings[:, 0]}
    filled = {int(count) for batch in batches for count in batch.filled.flatten()}
    assert starts == filled == set(range(SEGMENT))


def test_a_fresh_stream_has_readings(readings: NDArray[np.float64]) -> None:
    batch = draw(readings, WINDOWS.model_copy(update={"fresh_share": 1.0}))
    assert int(batch.ends.max()) == 0
    assert int(batch.filled.min()) >= 2


def test_mixed_channels_are_new_ones(readings: NDArray[np.float64]) -> None:
    mixed = draw(readings, WINDOWS.model_copy(update={"mixed_share": 1.0})).readings
    steps = mixed[:, 1] - mixed[:, 0]  # the sum of the mixture's weights, 1 for a channel alone
    assert len(steps.unique()) > 0.8 * len(steps)  # the others are a channel upside down, or as it is


@pytest.fixture
def late_readings(readings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three of the channels, of which the last one begins late."""
    late = readings[:, :3].copy()
    late[: ROWS // 2, 2] = np.nan
    return late


@pytest.mark.parametrize(
    "shares", [{"mixed_share": 1.0}, {"blended_share": 1.0}, {"mixed_share": 0.5, "blended_share": 0.5}]
)
def test_a_channel_that_begins_late_is_in_no_window_before_it(
    late_readings: NDArray[np.float64], shares: dict[str, float]
) -> None:
    windows = WINDOWS.model_copy(update={"rows": 60, "known_share": 1.0, **shares})
    batch = draw(late_readings, windows)
    assert batch.readings.isfinite().all()
    assert batch.center.isfinite().all()
    assert batch.unit.isfinite().all()


def test_what_a_mixture_is_like_depends_on_its_own_channels_only(late_readings: NDArray[np.float64]) -> None:
    weights = np.array([[0.6, 0.8, 0.0], [0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])
    center, unit = _level_and_scale(late_readings, weights)
    mixtures = [0.6 * late_readings[:, 0] + 0.8 * late_readings[:, channel] for channel in (1, 2)]
    for i, mixture in enumerate((mixtures[0], mixtures[1][ROWS // 2 :], late_readings[:, 1])):
        assert center[i] == pytest.approx(mixture.mean())
        assert unit[i] == pytest.approx(np.abs(mixture - mixture.mean()).mean())


def test_blended_windows_are_two_of_the_same_place_of_the_cycle(readings: NDArray[np.float64]) -> None:
    update = {"rows": 50, "blended_share": 1.0, "blend_cycle": 24, "known_share": 1.0}
    batch = draw(readings, WINDOWS.model_copy(update=update))
    later = ROWS - batch.known
    sums = batch.readings * 2**0.5  # of two rows, each with 10,000 times its channel
    starts = sums[:, 0].round() % 10_000
    earlier = starts - later
    assert ((earlier >= 0) & (earlier <= later)).all()
    assert ((later - earlier) % 24 == 0).all()
    assert (later != earlier).any()
    for row, known in zip(sums, batch.known.tolist(), strict=True):
        steps = row[:known].diff()
        torch.testing.assert_close(steps, torch.full_like(steps, 2.0))
    middle = (ROWS - 1) / 2
    torch.testing.assert_close(batch.center[:, 0] * 2**0.5, sums[:, 0] - starts + 2 * middle)
    torch.testing.assert_close(batch.unit, torch.full_like(batch.unit, ROWS / 4))  # that of every channel


def test_an_epoch_can_be_drawn_again(task: ForecastingTask) -> None:
    first, again, other = (list(task.train_batches(epoch)) for epoch in (0, 0, 1))
    assert len(first) == task.batches_per_epoch() == 3
    assert all(all(map(torch.equal, a, b)) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].readings[:, 0], other[0].readings[:, 0])


def test_training_never_sees_the_rows_after_its_own(task: ForecastingTask) -> None:
    seen = max(float(batch.known.max()) for batch in task.train_batches(0))
    assert seen <= etth1.SPLITS["train"].stop


def test_the_loss_ignores_what_is_unknown(task: ForecastingTask) -> None:
    batch = next(task.train_batches(0))
    batch = batch._replace(known=batch.known.clamp(max=int(batch.ends.max() + 3) * SEGMENT))
    beyond = torch.arange(batch.readings.shape[1]) >= batch.known.unsqueeze(1)
    spoiled = batch._replace(readings=torch.where(beyond, 1e6, batch.readings))
    model = task.build_model().eval().requires_grad_(False)
    losses = []
    for rows in (batch, spoiled):
        torch.manual_seed(0)  # the same segments of the horizon
        losses.append(float(task.loss(model, rows, None)[0]))
    assert losses[0] == losses[1]


def test_the_loss_ignores_what_lies_before_the_origin(task: ForecastingTask) -> None:
    batch = next(task.train_batches(0))
    batch = batch._replace(ends=batch.ends[:, :1], filled=torch.full_like(batch.filled[:, :1], 7))
    model, answers = task.build_model().eval().requires_grad_(False), []

    def answer_always_the_same(*inputs: torch.Tensor) -> object:
        answers.append(answers[0] if answers else model(*inputs))
        return answers[-1]

    def loss(spoiled: torch.Tensor) -> float:
        torch.manual_seed(0)  # the same segments of the horizon
        rows = batch._replace(readings=torch.where(spoiled, 1e6, batch.readings))
        return float(task.loss(answer_always_the_same, rows, None)[0])

    index, origin = torch.arange(batch.readings.shape[1]), batch.ends * SEGMENT + 7
    assert loss(index < 0) == loss(index < origin)
    assert loss(index < 0) != loss(index == origin)


def test_training_lowers_the_loss(task: ForecastingTask) -> None:
    assert_learns(task)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"mase_h5": 0.6, "seasonal_mase_h5": 1.2}, "forecasts of 5 readings are off by 0.50 times as much as"),
        ({"mase_h5": 1.2, "seasonal_mase_h5": 1.2}, "the last season; more rows, another --season or more"),
        (
            {"mase_h5": 0.1, "seasonal_mase_h5": 0.0},
            "repeating the last season is exactly right in all of the backtest",
        ),
        ({}, ""),
    ],
)
def test_a_forecaster_of_ones_own_readings_is_judged_by_the_naive_forecast(
    figures: dict[str, float], said: str
) -> None:
    own = OwnSeries(path="a.csv", sha256="0", time="t", targets=("a",), interval="1 day", horizon=5, naive_season=7)
    verdict = ForecastingTask(ForecastingSettings(data=DataSettings(own=own))).verdict(figures)
    assert said in verdict if said else not verdict


def test_a_forecaster_of_published_readings_is_not_judged(task: ForecastingTask) -> None:
    assert not task.verdict({"mase_h96": 0.6, "seasonal_mase_h96": 1.2})


def test_an_unknown_split_is_refused(task: ForecastingTask) -> None:
    with pytest.raises(Exception, match="no train split, only dev and test"):
        task.evaluate(task.build_model(), "train")


@pytest.mark.parametrize("task", ["forecasting", "forecasting-window"])
def test_settings_for_which_no_horizon_fits_are_refused(task: str) -> None:
    with pytest.raises(SettingsError, match="are 72 readings ahead, and the shortest horizon that is measured is 96"):
        settings.load(registry.task_type(task).settings_type, task, overrides=["model.max_segments=3"])


def test_bands_become_as_wide_as_they_must_be(task: ForecastingTask) -> None:
    torch.manual_seed(0)
    model = task.build_model().eval().requires_grad_(False)
    with torch.no_grad():
        model.spread.bias.fill_(-6.0)  # far too narrow
    figures = task.validate(model)
    assert figures["widening"] == float(model.widening) > 2
    assert task.validate(model) == figures  # whatever the widening was before
    channels = Channels.known(task.series.standardized, task.series.splits["train"])
    errors = errors_by_kind(task.choosing(model, channels))
    covered = [each.figures()["coverage_80"] for found in errors.values() for each in found]
    assert np.mean(covered) == pytest.approx(task.settings.bands.coverage, abs=2e-3)


def test_bands_that_cover_too_much_are_narrowed(task: ForecastingTask) -> None:
    model = task.build_model().eval().requires_grad_(False)
    model.spread.bias.fill_(-1.0)
    model.spread.weight.zero_()
    task.validate(model)
    assert 0.25 <= float(model.widening) < 1


def test_the_errors_that_choose_the_epoch_know_nothing_of_the_bands(task: ForecastingTask) -> None:
    torch.manual_seed(0)
    model = task.build_model().eval().requires_grad_(False)
    narrow = model.spread.bias.clone().fill_(-6.0)
    before = task.validate(model)
    model.spread.bias.copy_(narrow)
    after = task.validate(model)
    assert before.pop("widening") != after.pop("widening")
    assert before == after


def test_training_knows_nothing_of_the_widening(task: ForecastingTask) -> None:
    batch, losses = next(task.train_batches(0)), []
    model = task.build_model().requires_grad_(False)
    for widening in (1.0, 3.0):
        model.widening.fill_(widening)
        torch.manual_seed(0)
        losses.append(float(task.loss(model, batch, None)[0]))
    assert losses[0] == losses[1]


def test_the_model_of_a_new_run_is_told_what_its_channels_are_like(task: ForecastingTask) -> None:
    model = task.build_model()
    task.initialise(model)
    train = task.series.table.readings[etth1.SPLITS["train"]]
    assert model.channels == etth1.CHANNELS[:CHANNELS]
    np.testing.assert_allclose(model.centers, train.mean(axis=0))
    np.testing.assert_allclose(model.units, np.abs(train - train.mean(axis=0)).mean(axis=0))
