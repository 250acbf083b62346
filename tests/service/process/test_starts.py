"""What the first process makes of its workers' starts."""

import logging
import os
import subprocess
import sys

import pytest

from service.process.starts import FAILED, MAX_STARTS, READY, Starts

LIMIT = 300 * 2**20


class Kernel:
    """Counts whom it killed for memory."""

    num_kills = 7  # before this service began

    def __call__(self) -> int:
        return self.num_kills


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def starts(kernel: Kernel) -> Starts:
    return Starts(num_workers=2, num_kills=kernel, limit=LIMIT)


def test_workers_that_die_again_and_again_before_one_is_ready_are_hopeless(starts: Starts) -> None:
    pids = set(range(100, 100 + MAX_STARTS * 2))
    assert starts.see(pids) is None
    assert starts.see(pids) is None
    assert "6 worker processes ended before one was ready" in (starts.see({200}) or "")


def test_the_memory_limit_is_named_where_the_kernel_killed_them(starts: Starts, kernel: Kernel) -> None:
    kernel.num_kills += 5
    reason = starts.see(set(range(7)))
    assert reason == "processes killed by the kernel because memory reached its limit of 300 MiB: 5"


def test_once_one_was_ready_no_death_ends_the_service(starts: Starts) -> None:
    assert starts.hear(READY, "") is None
    assert starts.see(set(range(100))) is None
    assert starts.hear(FAILED, "the store is down") is None


def test_a_failure_before_that_is_the_reason(starts: Starts) -> None:
    assert starts.hear(FAILED, "a worker cannot start: the store is down") == "a worker cannot start: the store is down"


def test_a_kill_for_memory_is_logged_when_another_worker_is_ready(
    starts: Starts, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        starts.hear(READY, "")
        assert not caplog.records
        kernel.num_kills += 1
        starts.hear(READY, "")
        starts.hear(READY, "")
    assert [each.message for each in caplog.records] == [
        "processes killed by the kernel because memory reached its limit of 300 MiB: 1; a replacement is ready now"
    ]


WATCHED = """
import subprocess, sys, time
from service.process import service_directory
from service.process.starts import watch_starts
watch_starts(service_directory.begin({port}), num_workers=1)
for _ in range(5):
    subprocess.run([sys.executable, "-c", {worker!r}])
    time.sleep(0.5)
time.sleep(30)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel names a sender on Linux alone")
@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        (
            "from service.process.starts import failures_told\n"
            "with failures_told():\n    raise OSError('no such disk')",
            "a worker cannot start: no such disk",
        ),
        ("import time; time.sleep(1)", f"{MAX_STARTS} worker processes ended before one was ready; the log says more"),
    ],
    ids=["says why", "says nothing"],
)
def test_the_first_process_ends_with_the_reason_as_its_last_line(worker: str, reason: str) -> None:
    command = [sys.executable, "-c", WATCHED.format(worker=worker, port=os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  words of this test
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"unrolled: {reason}"


SENDER = """
import os, sys
from service.process.starts import FAILED
from service.process.words import tell
os.setuid(65534)
tell("starts", FAILED, "by somebody else")
sys.stderr.write("said")
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="root alone can be another user, on Linux")
def test_another_user_of_the_machine_cannot_end_the_service() -> None:
    script = WATCHED.format(worker=SENDER, port=os.getpid()).replace("time.sleep(30)", "")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  words of this test
    assert "said" in done.stderr
    assert "by somebody else" not in done.stderr
