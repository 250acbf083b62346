"""How much is logged of a failure that repeats."""

import logging

import pytest

from service.concurrency.failures import QUIET_SECONDS, FailureLog
from tests.fakes.clock import Clock

WHAT = "looking has failed"
FULL = OSError(24, "too many open files")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(100.0)


@pytest.fixture
def failures(clock: Clock, caplog: pytest.LogCaptureFixture) -> FailureLog:
    """None so far."""
    caplog.set_level(logging.INFO)
    return FailureLog(WHAT, clock)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    """The lines, and whether each has a traceback."""
    return [(record.getMessage(), record.exc_info is not None) for record in caplog.records]


def test_the_first_has_a_traceback_and_the_others_are_counted_once_in_a_while(
    failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(int(3 * QUIET_SECONDS)):
        failures.log(FULL)
        clock.now += 1
    counted = f"{WHAT}: {FULL} ({int(QUIET_SECONDS)} times since the last line)"
    assert told(caplog) == [(WHAT, True), (counted, False), (counted, False)]


def test_another_one_or_one_after_a_pause_is_a_first_one(
    failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    failures.log(FULL)
    failures.log(ValueError("something else"))
    clock.now += QUIET_SECONDS
    failures.log(ValueError("something else"))
    assert told(caplog) == [(WHAT, True)] * 3


def test_kinds_that_take_turns_are_logged_whole_once_each(
    failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        failures.log(FULL)
        failures.log(ValueError("something else"))
        clock.now += 1
    assert told(caplog) == [(WHAT, True)] * 2


def test_how_many_were_not_told_is_said_by_the_next_line_however_late(
    failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5000):
        failures.log(FULL)
    clock.now += 10 * QUIET_SECONDS
    failures.log(FULL)
    assert told(caplog) == [(WHAT, True), (f"{WHAT} (4999 more times since the last line)", True)]
