"""The load of a measurement: what was completed, in which time. Several are measured in turn and compared."""

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]


class Quantiles(NamedTuple):
    """Quantiles of times, in seconds."""

    p50: float
    p99: float
    worst: float


@dataclass(frozen=True)
class Load:
    """One measurement.

    Attributes:
        completed: What was completed: rows, requests, characters.
        seconds: Wall time that it took.
        cpu_seconds: Processor time of the measuring process.
        latency: Of single requests or runs.
    """

    completed: int
    seconds: float
    cpu_seconds: float
    latency: Quantiles

    @property
    def rate(self) -> float:
        """Completed per second."""
        return self.completed / self.seconds

    @property
    def cores(self) -> float:
        """Processor cores that the measuring process itself was busy on."""
        return self.cpu_seconds / self.seconds


class Stopwatch:
    """Wall and processor time from here on."""

    def __init__(self) -> None:
        self._cpu = _cpu_seconds()
        self.started = time.perf_counter()

    def load(self, completed: int, latencies: Sequence[float]) -> Load:
        """The measurement that ends now."""
        seconds = time.perf_counter() - self.started
        return Load(completed, seconds, _cpu_seconds() - self._cpu, quantiles(latencies))


class Ratio(NamedTuple):
    """A ratio of two things that were measured in turn: the median of the rounds, the lowest and the highest."""

    median: float
    low: float
    high: float


def quantiles(times: Sequence[float]) -> Quantiles:
    """Median, 99th percentile and worst of some times."""
    p50, p99, worst = np.quantile(times, (0.5, 0.99, 1.0)).tolist()
    return Quantiles(p50, p99, worst)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Round by round, so that a machine that slows down for one slows down for the other."""
    ratios = [over / under for over, under in zip(numerators, denominators, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def rates(loads: Sequence[Load]) -> list[float]:
    """The rate of each round."""
    return [load.rate for load in loads]


def median_rate(loads: Sequence[Load]) -> float:
    """The rate of the middle round."""
    return statistics.median(rates(loads))


def alternate(
    title: str, runs: Mapping[str, Callable[[float], Load]], rounds: int, seconds: float
) -> dict[str, list[Load]]:
    """Measure several things in turn, round after round, after a short turn of each that does not count.

    Args:
        title: Stands before the progress bar.
        runs: What is measured, by name.
        rounds: How often each.
        seconds: How long each time.

    Returns:
        The rounds of each run, under its name and in the order of `runs`.
    """
    loads: dict[str, list[Load]] = {name: [] for name in runs}
    with tqdm(total=len(runs) * rounds, desc=title, leave=False, disable=None) as bar:
        bar.set_postfix_str("warming up")
        for run in runs.values():
            run(min(1.0, seconds))
        for _ in range(rounds):
            for name, run in runs.items():
                bar.set_postfix_str(name)
                loads[name].append(run(seconds))
                bar.update()
    return loads


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
