"""Computes figures from loads that were measured in turn."""

import statistics
from collections.abc import Sequence

from bench.figure import Figure
from bench.load import Load, median_rate, rates, ratio


def share(
    name: str, loads: Sequence[Load], raw: Sequence[Load], limit: float | None, unit: str = "rows/s"
) -> list[Figure]:
    """Return the rate of a load as a percentage of onnxruntime alone, and the rate itself."""
    percent = 100 * ratio(rates(loads), rates(raw))
    return [Figure(f"{name}, of raw onnxruntime", percent, "%", at_least=limit), rate(name, loads, unit)]


def multiple(name: str, loads: Sequence[Load], baseline: Sequence[Load], limit: float | None) -> Figure:
    """Return the rate of a load as a multiple of a baseline's."""
    return Figure(name, ratio(rates(loads), rates(baseline)), "x", at_least=limit)


def rate(name: str, loads: Sequence[Load], unit: str = "rows/s") -> Figure:
    """Return the median rate, for the record."""
    return Figure(name, median_rate(loads), unit)


def client(name: str, loads: Sequence[Load]) -> Figure:
    """Return the processor cores that the client used. A client of one thread that uses nearly 1 limits the rate."""
    return Figure(f"{name}: client", statistics.median(load.cores for load in loads), "cores")


def latency(name: str, loads: Sequence[Load], raw: Sequence[Load], limit: float | None) -> Figure:
    """Return the median time of a request as a multiple of a raw run's."""
    p50, raw_p50 = ([load.latency.p50 for load in side] for side in (loads, raw))
    return Figure(f"{name}: p50, of a raw run", ratio(p50, raw_p50), "x", at_most=limit)


def milliseconds(name: str, loads: Sequence[Load]) -> Figure:
    """Return the median time of a request, for the record."""
    return Figure(f"{name}: p50", 1000 * statistics.median(load.latency.p50 for load in loads), "ms")


def tail_milliseconds(name: str, loads: Sequence[Load]) -> Figure:
    """Return the 99th percentile of the time of a request, for the record."""
    return Figure(f"{name}: p99", 1000 * statistics.median(load.latency.p99 for load in loads), "ms")


def tail(name: str, loads: Sequence[Load], limit: float | None) -> Figure:
    """Return the 99th percentile of the latency as a multiple of its median."""
    spread = statistics.median(load.latency.p99 / load.latency.p50 for load in loads)
    return Figure(f"{name}: p99, of its p50", spread, "x", at_most=limit)
