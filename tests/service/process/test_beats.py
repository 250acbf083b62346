"""Workers that hang are found by their silence, and killed."""

import os
import signal
import subprocess
import sys

import pytest

from service.process.beats import BEAT, BEAT_SECONDS, END, HUNG_SECONDS, Beats
from tests.fakes.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(50.0)


def after(clock: Clock, beats: Beats, seconds: float, *beating: int) -> list[int]:
    """Who has hung after some more seconds in which some have beaten."""
    found = []
    for _ in range(int(seconds / BEAT_SECONDS)):
        clock.now += BEAT_SECONDS
        for pid in beating:
            beats.hear(pid, BEAT)
        found += beats.hung()
    return found


def test_who_is_silent_for_long_has_hung_and_is_told_once(clock: Clock) -> None:
    beats = Beats(clock)
    for pid in (7, 8):
        beats.hear(pid, BEAT)
    assert after(clock, beats, HUNG_SECONDS - BEAT_SECONDS, 8) == []
    assert after(clock, beats, 3 * HUNG_SECONDS, 8) == [7]
    assert after(clock, beats, HUNG_SECONDS) == [8]


def test_who_has_not_begun_or_has_taken_its_leave_is_not_waited_for(clock: Clock) -> None:
    beats = Beats(clock)
    beats.hear(7, "")
    beats.hear(8, BEAT)
    beats.hear(8, END)
    assert after(clock, beats, 2 * HUNG_SECONDS) == []


def test_who_stood_still_with_the_first_process_has_not_hung(clock: Clock) -> None:
    beats = Beats(clock)
    beats.hear(7, BEAT)
    clock.now += 0.6 * HUNG_SECONDS
    assert beats.hung() == []
    clock.now += 0.6 * HUNG_SECONDS
    assert beats.hung() == []
    assert after(clock, beats, HUNG_SECONDS) == [7]


WORKER = """
import sys, time
from service.process.beats import beat
num_beats = int(sys.argv[1])
for _ in range(num_beats):
    beat()
    time.sleep(0.1)
time.sleep(60 if num_beats == 1 else 0)
"""
FIRST = """
import logging, subprocess, sys
from service.process import beats, service_directory
logging.basicConfig(format="%(message)s")
beats.LOOK_SECONDS, beats.HUNG_SECONDS = 0.5, 3.0
beats.watch_beats(service_directory.begin({port}))
workers = [subprocess.Popen([sys.executable, "-c", {worker!r}, num_beats]) for num_beats in ("100", "1")]
print(workers[1].pid)
print(*(worker.wait() for worker in workers))
"""


REMOVED = """
import logging, shutil, time
from service.process import beats, service_directory
logging.basicConfig(format="%(message)s")
beats.LOOK_SECONDS = 0.1
directory = service_directory.begin({port})
beats.watch_beats(directory)
shutil.rmtree(directory)
time.sleep(2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel names a sender on Linux alone")
def test_a_directory_that_was_removed_is_told_once() -> None:
    command = [sys.executable, "-c", REMOVED.format(port=os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  words of this test
    assert done.stderr.count("was removed, so new workers are not watched; restart the service\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel names a sender on Linux alone")
def test_the_first_process_kills_a_worker_that_hangs_and_no_other() -> None:
    command = [sys.executable, "-c", FIRST.format(worker=WORKER, port=os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  words of this test
    hung, codes = done.stdout.splitlines()
    assert codes == f"0 {-signal.SIGKILL}"
    assert done.stderr == f"worker process {hung} had not responded for 3 seconds and was killed\n"
