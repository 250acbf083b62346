"""Readings of sensors: daily and weekly waves on a slope, with noise."""

import math
from random import Random
from typing import TypedDict

CHANNELS = ("OT", "load", "temperature °C", "pressure", "flow/2", "valve", "π", "room 7")
LEVELS = (0.1, 0.2, 0.25, 0.5, 0.75, 0.8, 0.9)
HORIZONS = (1, 7, 23, 24, 25, 96, 96, 192, 720)
DAY, WEEK = 24, 168

Series = dict[str, list[float]]


class Asked(TypedDict):
    """A horizon and quantile levels to ask for."""

    horizon: int
    quantiles: list[float]


def readings(rng: Random, count: int) -> list[float]:
    """Draw `count` readings of one channel, with its own size, phase and noise."""
    size = 10 ** rng.uniform(-2, 4)
    level, slope, phase = rng.uniform(-5, 5), rng.gauss(0, 0.01), rng.uniform(0, DAY)
    daily, weekly, noise = rng.uniform(0, 2), rng.uniform(0, 1), rng.uniform(0, 0.5)
    return [
        size
        * (
            level
            + slope * hour
            + daily * math.sin(2 * math.pi * (hour + phase) / DAY)
            + weekly * math.sin(2 * math.pi * (hour + phase) / WEEK)
            + rng.gauss(0, noise)
        )
        for hour in range(count)
    ]


def series(rng: Random, num_channels: int, count: int) -> Series:
    """Draw `count` readings of some channels."""
    return {channel: readings(rng, count) for channel in rng.sample(CHANNELS, num_channels)}


def asked(rng: Random, max_horizon: int = max(HORIZONS)) -> Asked:
    """Draw a forecast to ask for: near or far, with one or more quantiles."""
    horizons = [horizon for horizon in HORIZONS if horizon <= max_horizon]
    return Asked(horizon=rng.choice(horizons), quantiles=rng.sample(LEVELS, rng.randint(1, 4)))


def shuffled(rng: Random, series: Series) -> Series:
    """Return the series with its channels in another order."""
    return dict(rng.sample(list(series.items()), len(series)))
