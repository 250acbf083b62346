"""Workers that hang are found by their silence, and killed."""

import pytest

from service.process.heartbeats import BEAT_SECONDS, HUNG_SECONDS, Heartbeats
from service.process.messages import BEAT, END, FAILED, READY, Message
from tests.fakes.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(50.0)


def after(clock: Clock, heartbeats: Heartbeats, seconds: float, *beating: int) -> list[int]:
    """Who has hung after some more seconds in which some have beaten."""
    found = []
    for _ in range(int(seconds / BEAT_SECONDS)):
        clock.now += BEAT_SECONDS
        for pid in beating:
            heartbeats.record(Message(pid, BEAT))
        found += heartbeats.hung()
    return found


def test_who_is_silent_for_long_has_hung_and_is_told_once(clock: Clock) -> None:
    heartbeats = Heartbeats(clock)
    for pid in (7, 8):
        heartbeats.record(Message(pid, BEAT))
    assert after(clock, heartbeats, HUNG_SECONDS - BEAT_SECONDS, 8) == []
    assert after(clock, heartbeats, 3 * HUNG_SECONDS, 8) == [7]
    assert after(clock, heartbeats, HUNG_SECONDS) == [8]


def test_who_has_not_begun_or_has_taken_its_leave_is_not_waited_for(clock: Clock) -> None:
    heartbeats = Heartbeats(clock)
    heartbeats.record(Message(7, FAILED))
    heartbeats.record(Message(8, READY))
    heartbeats.record(Message(8, END))
    assert after(clock, heartbeats, 2 * HUNG_SECONDS) == []


def test_who_stood_still_with_the_first_process_has_not_hung(clock: Clock) -> None:
    heartbeats = Heartbeats(clock)
    heartbeats.record(Message(7, BEAT))
    clock.now += 0.6 * HUNG_SECONDS
    assert heartbeats.hung() == []
    clock.now += 0.6 * HUNG_SECONDS
    assert heartbeats.hung() == []
    assert after(clock, heartbeats, HUNG_SECONDS) == [7]
