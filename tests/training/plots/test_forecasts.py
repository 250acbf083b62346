"""Pictures of forecasts: what stands along their axis."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from training.data.series import Protocol, Series, last_part
from training.data.table import Table
from training.models.streaming_forecaster import StreamingForecaster, StreamingForecasterSettings
from training.plots.forecasts import draw_backtest

ROWS, H, START = 60, 4, datetime(2024, 3, 1)  # noqa: DTZ001  # as in files without a zone


def drawn(
    monkeypatch: pytest.MonkeyPatch, path: Path, times: tuple[datetime, ...], clock: str = "", season: int = 4
) -> Figure:
    """The figure that is saved."""
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    settings = StreamingForecasterSettings(segment=4, season=4, max_segments=1, embedding_size=3, hidden_size=3)
    table = Table(("shoes",), np.sin(np.arange(ROWS))[:, None])
    series = Series(table, last_part(ROWS, H), Protocol(None, (H,), season), times, clock)
    with torch.no_grad():
        draw_backtest(path, StreamingForecaster(settings, (), "1 day").eval(), series, series.splits["dev"], H)
    return figures[0]


def test_forecasts_lie_at_the_times_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = tuple(START + timedelta(days=day) for day in range(ROWS))
    [axis] = drawn(monkeypatch, tmp_path / "a.png", times).axes
    came, forecast, *_ = axis.lines
    assert came.get_xdata()[-1] == times[-1]
    assert list(forecast.get_xdata()) == list(times[-2 * H : -H])
    assert axis.get_xlabel() == "time, one every day"


def test_without_times_they_lie_at_their_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [axis] = drawn(monkeypatch, tmp_path / "a.png", ()).axes
    assert list(axis.lines[1].get_xdata()) == list(range(ROWS - 2 * H, ROWS - H))
    assert axis.get_xlabel() == "row, one every day"


def test_times_that_were_converted_say_by_what_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = tuple(START + timedelta(days=day) for day in range(ROWS))
    [axis] = drawn(monkeypatch, tmp_path / "a.png", times, " UTC").axes
    assert axis.get_xlabel() == "time (UTC), one every day"


@pytest.mark.parametrize(("season", "name"), [(4, "seasonal naive"), (1, "last reading")])
def test_what_is_repeated_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, season: int, name: str) -> None:
    [axis] = drawn(monkeypatch, tmp_path / "a.png", (), season=season).axes
    assert name in [line.get_label() for line in axis.lines]


def test_fans_do_not_overlap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "tests.training.plots.test_forecasts.last_part", lambda *_: {"train": range(53), "dev": range(53, 60)}
    )
    [axis] = drawn(monkeypatch, tmp_path / "a.png", ()).axes
    assert sum(line.get_label() == "seasonal naive" or line.get_linestyle() == ":" for line in axis.lines) == 1
