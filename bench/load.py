"""The load of a measurement: how much was completed in what time. Several are measured in turn and compared."""

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
        completed: Number of completed rows, requests or characters.
        seconds: Wall time that it took.
        cpu_seconds: Processor time of the measuring process.
        latency: Latency of single requests or runs.
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
        """How many processor cores the measuring process itself used."""
        return self.cpu_seconds / self.seconds


class Stopwatch:
    """Measures wall and processor time from its creation on."""

    def __init__(self) -> None:
        self._cpu = _cpu_seconds()
        self.started = time.perf_counter()

    def load(self, completed: int, latencies: Sequence[float]) -> Load:
        """Return the measurement that ends now."""
        seconds = time.perf_counter() - self.started
        return Load(completed, seconds, _cpu_seconds() - self._cpu, quantiles(latencies))


def quantiles(times: Sequence[float]) -> Quantiles:
    """Return median, 99th percentile and worst of some times."""
    p50, p99, worst = np.quantile(times, (0.5, 0.99, 1.0)).tolist()
    return Quantiles(p50, p99, worst)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the rounds' ratios: a slowdown of the machine affects both sides of a round."""
    return statistics.median(over / under for over, under in zip(numerators, denominators, strict=True))


def rates(loads: Sequence[Load]) -> list[float]:
    """Return the rate of each round."""
    return [load.rate for load in loads]


def median_rate(loads: Sequence[Load]) -> float:
    """Return the median rate of the rounds."""
    return statistics.median(rates(loads))


def alternate(
    title: str, runs: Mapping[str, Callable[[float], Load]], rounds: int, seconds: float
) -> dict[str, list[Load]]:
    """Measure several things in turn, round after round, after a short warm-up of each.

    Args:
        title: Title of the progress bar.
        runs: The measurements, by name.
        rounds: How often each is measured.
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
