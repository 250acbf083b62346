"""Forecasting by the shipped bundles."""

import math
from itertools import pairwise

import httpx
import pytest

from tests.e2e.asking import Json, ask, last_step

pytestmark = pytest.mark.e2e

MODELS = ("forecasting", "forecasting-window")


def readings(count: int, scale: float = 1.0, phase: int = 0) -> list[float]:
    """A daily wave, hour by hour."""
    return [
        20 + scale * (5 * math.sin((n + phase) * math.tau / 24) + math.sin(n * math.tau / 12)) for n in range(count)
    ]


def forecast(client: httpx.Client, series: Json, **question: object) -> Json:
    answer: Json = ask(client, "/forecast", {"series": series, **question})["forecast"]
    return answer


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("count", [240, 251])
def test_a_daily_wave_goes_on(client: httpx.Client, count: int, model: str) -> None:
    wave = readings(count + 48)
    mean = forecast(client, {"OT": wave[:count]}, horizon=48, model=model)["OT"]["mean"]
    error = sum(abs(a - b) for a, b in zip(mean, wave[count:], strict=True)) / 48
    standing_still = sum(abs(wave[count - 1] - b) for b in wave[count:]) / 48
    assert error < standing_still / 3


def test_quantiles_are_those_asked_for_and_ordered(client: httpx.Client) -> None:
    levels = [0.9, 0.1, 0.37, 0.5]
    quantiles = forecast(client, {"OT": readings(100)}, horizon=30, quantiles=levels)["OT"]["quantiles"]
    assert list(quantiles) == [str(level) for level in levels]
    by_level = [quantiles[str(level)] for level in sorted(levels)]
    assert all(low <= high for lower, upper in pairwise(by_level) for low, high in zip(lower, upper, strict=True))


def test_channels_do_not_touch_one_another(client: httpx.Client) -> None:
    series = {name: readings(60 + 24, scale, phase) for name, scale, phase in [("a", 1, 0), ("b", 1e6, 5), ("ü", 0, 0)]}
    together = forecast(client, series, horizon=25)
    assert together == {name: forecast(client, {name: values}, horizon=25)[name] for name, values in series.items()}


@pytest.mark.parametrize("cuts", [[1], [23, 24], [47, 48, 49, 70], list(range(1, 75))])
@pytest.mark.parametrize("model", MODELS)
def test_any_cut_of_the_readings_gives_the_bits_of_the_whole(client: httpx.Client, cuts: list[int], model: str) -> None:
    series = {"OT": readings(75), "load": readings(75, 3, 7)}
    borders = [0, *cuts, 75]
    steps: list[Json] = [{"values": {k: v[a:b] for k, v in series.items()}} for a, b in pairwise(borders)]
    outputs = last_step(client, model, [*steps[:-1], {**steps[-1], "horizon": 40}])
    assert outputs == {"readings": 75, "forecast": forecast(client, series, horizon=40, model=model)}


def test_a_window_is_all_that_its_bundle_remembers(client: httpx.Client) -> None:
    wave = readings(203)
    question = {"horizon": 30, "model": "forecasting-window"}
    assert forecast(client, {"OT": wave}, **question) == forecast(client, {"OT": wave[-96:]}, **question)
    assert forecast(client, {"OT": wave}, **question) != forecast(client, {"OT": wave[-95:]}, **question)


def test_a_forecast_may_be_asked_for_without_new_readings(client: httpx.Client) -> None:
    series = {"OT": readings(30)}
    outputs = last_step(client, "forecasting", [{"values": series}, {"horizon": 3}])
    assert outputs["forecast"] == forecast(client, series, horizon=3)


@pytest.mark.parametrize("values", [[5.0], [1e12] * 30, [0.0] * 100, [-1e12, 1e12] * 20])
@pytest.mark.parametrize("horizon", [1, 720])
@pytest.mark.parametrize("model", MODELS)
def test_extreme_series_give_finite_forecasts(
    client: httpx.Client, values: list[float], horizon: int, model: str
) -> None:
    answer = forecast(client, {"x": values}, horizon=horizon, model=model)["x"]
    assert len(answer["mean"]) == horizon
    assert all(math.isfinite(value) for values in (answer["mean"], *answer["quantiles"].values()) for value in values)
