"""How much is logged of a store that cannot be used."""

import logging

import pytest

from service.steps.outage import QUIET_SECONDS, Outage
from service.stores.base import Unavailable
from tests.fakes.clock import Clock

GONE = Unavailable("it is gone")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(100.0)


@pytest.fixture
def outage(clock: Clock, caplog: pytest.LogCaptureFixture) -> Outage:
    """One that has not begun."""
    caplog.set_level(logging.INFO)
    return Outage(clock)


def test_refusals_are_told_once_in_a_while_with_their_number(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        outage.fail(GONE)
    clock.now += QUIET_SECONDS
    outage.fail(GONE)
    assert caplog.messages == [
        "the session store cannot be used: it is gone",
        "the session store cannot be used: it is gone (5 requests refused since the last line)",
    ]


def test_its_end_is_told_once(outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    outage.answer()
    outage.fail(GONE)
    outage.fail(GONE)
    clock.now += QUIET_SECONDS
    for _ in range(2):
        outage.answer()
    assert caplog.messages[1:] == ["the session store can be used again; 1 more requests were refused"]
    outage.fail(GONE)
    assert caplog.messages[2:] == ["the session store cannot be used: it is gone"]


def test_calls_that_are_answered_beside_others_that_fail_end_nothing(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(9):
        outage.fail(GONE)
        outage.answer()
        clock.now += QUIET_SECONDS / 20
    assert len(caplog.messages) == 1
