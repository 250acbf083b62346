"""Checks of forecasts. That their numbers are finite is part of their form."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from loadtest.answers import ChannelForecast, ReadingsAnswer
from loadtest.inputs.readings import Asked

TOLERANCE = 1e-9

Forecast = Mapping[str, ChannelForecast]


def check_forecast(forecast: Forecast, channels: Collection[str], asked: Asked) -> str | None:
    """Check that the forecast has exactly the channels, the horizon and the quantiles that were asked for."""
    if set(forecast) != set(channels):
        return "channels: not those that were asked for"
    failures = (_check_channel(channel, asked["horizon"], asked["quantiles"]) for channel in forecast.values())
    return next(filter(None, failures), None)


def _check_channel(channel: ChannelForecast, horizon: int, levels: Sequence[float]) -> str | None:
    if set(channel.quantiles) != {str(level) for level in levels}:
        return "quantiles: not those that were asked for"
    if any(len(values) != horizon for values in (channel.mean, *channel.quantiles.values())):
        return "length: not the horizon"
    rising = [channel.quantiles[str(level)] for level in sorted(levels)]
    if not all(_is_below(low, high) for low, high in pairwise(rising)):
        return "quantiles: a higher one is below a lower one"
    return None


def _is_below(low: Sequence[float], high: Sequence[float]) -> bool:
    # Quantiles are interpolated, and rounding may make equal ones differ in their last bits.
    return all(a <= b + TOLERANCE * max(1.0, abs(a), abs(b)) for a, b in zip(low, high, strict=True))


def check_alone(forecast: Forecast, channel: str, alone: Forecast) -> str | None:
    """Check that a channel is forecast as it is alone: channels must not mix."""
    if forecast[channel] != alone[channel]:
        return "isolation: a channel among others is not forecast as it is alone"
    return None


def check_readings(answer: ReadingsAnswer, num_readings: int, is_forecast: bool) -> str | None:
    """Check that every reading was counted once, and that there is a forecast only if one was asked for."""
    if answer.readings != num_readings:
        return "readings: not as many as were sent"
    if (answer.forecast is not None) != is_forecast:
        return "forecast: missing or not asked for"
    return None
