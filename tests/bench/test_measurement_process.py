import os
import time
from collections.abc import Callable

import pytest

from bench.measurement_process import MeasurementFailed, MeasurementProcess


def counting(start: int) -> Callable[[float], tuple[int, int]]:
    """A measurement that remembers how often it ran."""
    runs = [start]

    def measure(seconds: float) -> tuple[int, int]:
        if seconds < 0:
            raise ValueError("no time to measure")
        runs[0] += 1
        return runs[0], os.getpid()

    return measure


def dying() -> Callable[[float], int]:
    """A measurement whose process ends."""
    return lambda _: os._exit(3)


def test_a_measurement_keeps_what_it_has_loaded_in_another_process() -> None:
    with MeasurementProcess(counting, 5) as process:
        (first, pid), (second, same) = process.run(0), process.run(0)
    assert (first, second) == (6, 7)
    assert pid == same != os.getpid()


def test_a_failure_is_told_with_its_reason() -> None:
    with MeasurementProcess(counting, 5) as process, pytest.raises(MeasurementFailed, match="no time to measure"):
        process.run(-1)


def test_a_process_that_dies_is_told() -> None:
    with MeasurementProcess(dying) as process, pytest.raises(MeasurementFailed, match="died"):
        process.run(0)


def test_an_interrupted_measurement_leaves_no_process() -> None:
    started = time.monotonic()
    process = MeasurementProcess(sleeping)
    with pytest.raises(KeyboardInterrupt), process:
        interrupted(process)
    assert not process._process.is_alive()
    assert time.monotonic() - started < 30


def interrupted(process: MeasurementProcess[None]) -> None:
    """Ctrl-C while a measurement runs."""
    process._connection.send(60.0)
    raise KeyboardInterrupt


def sleeping() -> Callable[[float], None]:
    """A measurement that takes its time."""
    return time.sleep
