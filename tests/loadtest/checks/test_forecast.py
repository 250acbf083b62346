"""Forecasts that must not pass, each beside one that must."""

import pytest

from loadtest.answers import ChannelForecast, ReadingsAnswer
from loadtest.checks.forecast import Forecast, check_alone, check_forecast, check_readings
from loadtest.inputs.readings import Asked

ASKED = Asked(horizon=3, quantiles=[0.9, 0.1])  # in no order
RIGHT = ChannelForecast(known=True, mean=[1.0, 2.0, 3.0], quantiles={"0.1": [0.5, 1.5, 2.5], "0.9": [1.5, 2.5, 2.5]})


def channel(mean: list[float] = RIGHT.mean, **quantiles: list[float]) -> ChannelForecast:
    named = {name.replace("q", "0."): values for name, values in quantiles.items()}
    return ChannelForecast(known=True, mean=mean, quantiles={**RIGHT.quantiles, **named})


def test_a_right_forecast_passes() -> None:
    assert check_forecast({"OT": RIGHT, "load": RIGHT}, ["load", "OT"], ASKED) is None


@pytest.mark.parametrize(
    ("forecast", "failure"),
    [
        ({}, "channels: not those that were asked for"),
        ({"OT": RIGHT}, "channels: not those that were asked for"),
        ({"OT": RIGHT, "load": RIGHT, "flow": RIGHT}, "channels: not those that were asked for"),
        ({"OT": RIGHT, "load": channel(mean=[1.0, 2.0])}, "length: not the horizon"),
        ({"OT": RIGHT, "load": channel(q1=[0.5, 0.5, 0.5, 0.5])}, "length: not the horizon"),
        ({"OT": RIGHT, "load": channel(q5=[1.0, 2.0, 3.0])}, "quantiles: not those that were asked for"),
        (
            {"OT": RIGHT, "load": ChannelForecast(known=True, mean=RIGHT.mean, quantiles={"0.1": RIGHT.mean})},
            "quantiles: not those that were asked for",
        ),
        ({"OT": RIGHT, "load": channel(q1=[0.5, 2.6, 2.5])}, "quantiles: a higher one is below a lower one"),
    ],
)
def test_a_wrong_forecast_fails(forecast: Forecast, failure: str) -> None:
    assert check_forecast(forecast, ["OT", "load"], ASKED) == failure


def test_a_channel_must_be_forecast_as_it_is_alone() -> None:
    among = {"OT": RIGHT, "load": channel(mean=[1.0, 2.0, 3.5])}
    assert check_alone(among, "OT", {"OT": RIGHT}) is None
    assert check_alone(among, "load", {"load": RIGHT}) == (
        "isolation: a channel among others is not forecast as it is alone"
    )


def test_readings_must_be_counted_once() -> None:
    assert check_readings(ReadingsAnswer(readings=7), 7, is_forecast=False) is None
    assert check_readings(ReadingsAnswer(readings=8), 7, is_forecast=False) == "readings: not as many as were sent"


def test_a_forecast_is_there_only_where_it_was_asked_for() -> None:
    forecast = ReadingsAnswer(readings=7, forecast={"OT": RIGHT})
    assert check_readings(forecast, 7, is_forecast=True) is None
    assert check_readings(forecast, 7, is_forecast=False) == "forecast: missing or not asked for"
    assert check_readings(ReadingsAnswer(readings=7), 7, is_forecast=True) == "forecast: missing or not asked for"
