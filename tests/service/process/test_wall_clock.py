"""A wall clock that was set is doubted for a while, whichever of the two times is right."""

import logging
import subprocess
import sys

import pytest

from service.process.wall_clock import DOUBT_SECONDS, LOOK_SECONDS, TOLERATED_SECONDS, WallClock, boot_seconds
from tests.fakes.clock import Clock

HOUR = 3600.0


class Machine:
    """A wall clock and the clock that counts from the boot, and a process that reads both."""

    def __init__(self) -> None:
        self.wall, self.boot = Clock(1e9), Clock(500.0)
        self.read = WallClock(self.wall, self.boot)

    def pass_by(self, seconds: float) -> None:
        self.wall.now += seconds
        self.boot.now += seconds

    def set_by(self, seconds: float) -> None:
        self.wall.now += seconds

    @property
    def times(self) -> tuple[float, float]:
        """The earliest and the latest, from when the test began."""
        return round(self.read.earliest() - 1e9, 3), round(self.read.latest() - 1e9, 3)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("seconds", [0.1, LOOK_SECONDS, 10 * HOUR])
def test_time_passes_and_nothing_is_doubted(machine: Machine, seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    for num in range(3):
        assert machine.times == (round(num * seconds, 3),) * 2
        machine.pass_by(seconds)
    assert caplog.messages == []


@pytest.mark.parametrize(("jump", "times"), [(30 * 24 * HOUR, (10, 10 + 30 * 24 * HOUR)), (-HOUR, (10 - HOUR, 10))])
def test_a_clock_that_was_set_and_set_back_was_wrong(
    machine: Machine, jump: float, times: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    assert machine.times == (0, 0)
    machine.set_by(jump)
    machine.pass_by(10)
    assert machine.times == times
    machine.set_by(-jump)
    assert machine.times == (10, 10)
    machine.pass_by(DOUBT_SECONDS)
    assert machine.times == (10 + DOUBT_SECONDS, 10 + DOUBT_SECONDS)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        f"the wall clock was set {jump:+.0f} seconds while sessions live by it",
        "the wall clock is back at the time that it should show",
    ]


def test_a_clock_that_stays_as_it_was_set_is_right_in_the_end(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.set_by(HOUR)
    assert machine.times == (0, HOUR)
    machine.pass_by(DOUBT_SECONDS - 1)
    assert machine.times == (DOUBT_SECONDS - 1, HOUR + DOUBT_SECONDS - 1)
    machine.pass_by(1)
    assert machine.times == (HOUR + DOUBT_SECONDS, HOUR + DOUBT_SECONDS)
    assert caplog.messages[1:] == ["the wall clock, as it was set, is taken for right"]
    machine.set_by(-HOUR)
    assert machine.times == (DOUBT_SECONDS, HOUR + DOUBT_SECONDS)


def test_a_clock_that_is_set_again_is_doubted_anew(machine: Machine) -> None:
    machine.set_by(HOUR)
    assert machine.times == (0, HOUR)
    machine.pass_by(DOUBT_SECONDS - 1)
    machine.set_by(HOUR)
    assert machine.times == (DOUBT_SECONDS - 1, 2 * HOUR + DOUBT_SECONDS - 1)
    machine.pass_by(DOUBT_SECONDS - 1)
    assert machine.times[0] == 2 * DOUBT_SECONDS - 2


def test_what_a_daemon_corrects_is_followed(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        machine.set_by(TOLERATED_SECONDS / 2)
        machine.pass_by(LOOK_SECONDS)
        assert len(set(machine.times)) == 1
    assert machine.times[0] == 10 * (LOOK_SECONDS + TOLERATED_SECONDS / 2)
    assert caplog.messages == []


def test_a_worker_that_begins_while_the_clock_is_wrong_knows_it_from_its_service() -> None:
    wall, boot = Clock(1e9), Clock(500.0)
    clock = WallClock(wall, boot, booted_at=1e9 - 500 - HOUR)
    assert (clock.earliest(), clock.latest()) == (1e9 - HOUR, 1e9)


def test_workers_inherit_the_clock_of_their_service() -> None:
    """In a process of its own, which hands down a clock that shows an hour too little, and in a worker of it."""
    worker = (
        "import logging, time; logging.basicConfig(format='%(message)s'); "
        "from service.process.wall_clock import WallClock; clock = WallClock.inherited(); "
        "print(round(clock.latest() - clock.earliest()))"
    )
    first = (
        "import subprocess, sys, time; from service.process import wall_clock; now = time.time; "
        "time.time = lambda: now() - 3600; wall_clock.export_clock(); "
        f"sys.exit(subprocess.run([sys.executable, '-c', {worker!r}]).returncode)"
    )
    done = subprocess.run([sys.executable, "-c", first], capture_output=True, text=True, check=True)  # noqa: S603  our words
    assert done.stdout == "3600\n"
    assert done.stderr.startswith("the wall clock was set +3600 seconds")


def test_the_real_clock_is_not_doubted(caplog: pytest.LogCaptureFixture) -> None:
    clock = WallClock.inherited()
    with caplog.at_level(logging.WARNING):
        assert clock.earliest() <= clock.latest() <= clock.earliest() + 60
    assert boot_seconds() > 0
    assert caplog.messages == []


def test_a_clock_that_is_known_late_is_trusted_from_then_on(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.set_by(HOUR)  # as when a server's clock takes the place of the machine's own
    machine.read.trust()
    assert machine.times == (HOUR, HOUR)
    assert caplog.messages == []
    machine.set_by(-HOUR)
    assert machine.times == (0, HOUR)
