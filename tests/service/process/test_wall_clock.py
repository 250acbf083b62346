"""A wall clock that was set is doubted for a while, whichever of the two times is right."""

import logging
import time
from pathlib import Path

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
    assert "for 30 minutes none expires" in caplog.messages[0]
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


def test_a_worker_that_begins_while_the_clock_is_wrong_knows_it_from_its_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    WallClock(lambda: time.time() - HOUR, file=tmp_path / "clock")
    clock = WallClock.shared(tmp_path)
    assert round(clock.latest() - clock.earliest()) == HOUR
    assert caplog.messages[0].startswith("the wall clock was set +3600 seconds")


def test_all_workers_doubt_a_clock_until_the_same_moment_and_later_ones_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wall, boot, file = Clock(1e9), Clock(500.0), tmp_path / "clock"
    first = WallClock(wall, boot, file)
    wall.now += HOUR
    assert first.latest() - first.earliest() == HOUR
    for clock in (wall, boot):
        clock.now += DOUBT_SECONDS - 1
    second = WallClock(wall, boot, file)
    assert second.latest() - second.earliest() == HOUR
    for clock in (wall, boot):
        clock.now += 1
    assert [each.latest() - each.earliest() for each in (second, first)] == [0, 0]
    third = WallClock(wall, boot, file)
    assert third.latest() - third.earliest() == 0
    settled = "the wall clock, as it was set, is taken for right"
    assert caplog.messages[1:] == [settled, settled]


def test_a_worker_that_looks_late_takes_over_what_the_others_have_settled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wall, boot, file = Clock(1e9), Clock(500.0), tmp_path / "clock"
    first, spare = (WallClock(wall, boot, file) for _ in range(2))
    wall.now += HOUR
    for passed in (0, DOUBT_SECONDS):
        for clock in (wall, boot):
            clock.now += passed
        first.latest()
    settled, messages = file.read_bytes(), list(caplog.messages)
    assert spare.earliest() == spare.latest() == wall.now
    assert file.read_bytes() == settled
    assert caplog.messages == messages


def test_a_worker_that_looks_late_doubts_a_clock_as_long_as_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wall, boot, file = Clock(1e9), Clock(500.0), tmp_path / "clock"
    first, spare = (WallClock(wall, boot, file) for _ in range(2))
    wall.now += HOUR
    first.latest()
    assert len(caplog.messages) == 1
    for clock in (wall, boot):
        clock.now += DOUBT_SECONDS - 1
    assert spare.latest() - spare.earliest() == HOUR
    for clock in (wall, boot):
        clock.now += 1
    assert spare.earliest() == spare.latest() == wall.now
    assert caplog.messages[1:] == ["the wall clock, as it was set, is taken for right"]


def test_a_worker_doubts_a_clock_that_the_others_have_not_seen_either(tmp_path: Path) -> None:
    wall, boot, file = Clock(1e9), Clock(500.0), tmp_path / "clock"
    first, second = (WallClock(wall, boot, file) for _ in range(2))
    for num in range(1, 3):
        wall.now += HOUR
        assert [each.latest() - each.earliest() for each in (first, second)] == [num * HOUR] * 2


def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    wall, boot, file = Clock(1e9), Clock(500.0), tmp_path / "clock"
    (file / "in the way").mkdir(parents=True)
    first = WallClock(wall, boot, file)
    assert [path.name for path in tmp_path.iterdir()] == ["clock"]
    (file / "in the way").rmdir()
    file.rmdir()
    for clock in (wall, boot):
        clock.now += LOOK_SECONDS
    first.latest()
    assert not file.exists()
    for clock in (wall, boot):
        clock.now += 10
    first.latest()
    assert file.exists()
    wall.now += HOUR
    second = WallClock(wall, boot, file)
    assert second.latest() - second.earliest() == HOUR


def test_a_worker_that_begins_late_follows_what_a_daemon_has_corrected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wall, boot, file = Clock(1e9), Clock(500.0), tmp_path / "clock"
    first = WallClock(wall, boot, file)
    for _ in range(4):
        wall.now += TOLERATED_SECONDS / 2
        first.latest()
    WallClock(wall, boot, file).latest()
    assert caplog.messages == []
    assert [path.name for path in tmp_path.iterdir()] == ["clock"]


def test_what_is_kept_already_is_not_written_at_every_look(tmp_path: Path) -> None:
    wall, boot, file = Clock(1e9), Clock(500.0), tmp_path / "clock"
    clock = WallClock(wall, boot, file)
    wall.now += HOUR
    clock.latest()
    file.unlink()
    for each in (wall, boot):
        each.now += 10
    clock.latest()
    assert not file.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[1, 2, 3, 4]", b"\xff"])
def test_a_file_that_says_nothing_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock").write_bytes(content)
    clock = WallClock.shared(tmp_path)
    assert clock.latest() - clock.earliest() < TOLERATED_SECONDS
    assert (tmp_path / "clock").read_bytes() != content


def test_a_directory_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    clock = WallClock.shared(tmp_path / "nowhere")
    assert clock.latest() - clock.earliest() < TOLERATED_SECONDS


def test_the_real_clock_is_not_doubted(caplog: pytest.LogCaptureFixture) -> None:
    clock = WallClock.shared(None)
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
