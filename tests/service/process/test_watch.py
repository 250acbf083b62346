"""The first process kills workers that hang, and ends if none can start."""

import logging
import os
import signal
import subprocess
import sys

import pytest

from service.process.starts import MAX_STARTS
from service.process.watch import _kill

WORKER = """
import sys, time
from service.process.messages import report_alive
num_beats = int(sys.argv[1])
for _ in range(num_beats):
    report_alive(is_ready=False)
    time.sleep(0.1)
time.sleep(60 if num_beats == 1 else 0)
"""
FIRST = """
import logging, subprocess, sys
from service.process import heartbeats, watch
from service.process.service_directory import create_service_directory
logging.basicConfig(format="%(message)s")
heartbeats.HUNG_SECONDS = watch.HUNG_SECONDS = 3.0
watch.watch_workers(create_service_directory({port}), num_workers=2)
workers = [subprocess.Popen([sys.executable, "-c", {worker!r}, num_beats]) for num_beats in ("100", "1")]
print(workers[1].pid)
print(*(worker.wait() for worker in workers))
"""


REMOVED = """
import logging, shutil, time
from service.process import watch
from service.process.service_directory import create_service_directory
logging.basicConfig(format="%(message)s")
watch.START_POLL_SECONDS = 0.1
directory = create_service_directory({port})
watch.watch_workers(directory, num_workers=1)
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


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_a_hung_worker_that_ended_by_itself_is_not_killed(
    caplog: pytest.LogCaptureFixture, is_waited_for: bool
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as worker, caplog.at_level(logging.ERROR):
        os.waitid(os.P_PID, worker.pid, os.WEXITED | (0 if is_waited_for else os.WNOWAIT))
        _kill([worker.pid])
    assert not caplog.records


WATCHED = """
import subprocess, sys, time
from service.process.service_directory import create_service_directory
from service.process.watch import watch_workers
watch_workers(create_service_directory({port}), num_workers=1)
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
            "from service.process.messages import report_failures\n"
            "with report_failures():\n    raise OSError('no such disk')",
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


def test_an_outage_that_keeps_a_worker_from_starting_is_one_line() -> None:
    worker = (
        "from service.process.messages import report_failures\n"
        "with report_failures(outages=(OSError,)):\n    raise ConnectionError('it does not answer')"
    )
    done = subprocess.run([sys.executable, "-c", worker], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  words of this test
    assert (done.returncode, done.stderr) == (1, "this worker cannot start: it does not answer\n")


SENDER = """
import os, sys
from service.process.messages import FAILED, send
os.setuid(65534)
send(FAILED, "by somebody else")
sys.stderr.write("said")
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="root alone can be another user, on Linux")
def test_another_user_of_the_machine_cannot_end_the_service() -> None:
    script = WATCHED.format(worker=SENDER, port=os.getpid()).replace("time.sleep(30)", "")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  words of this test
    assert "said" in done.stderr
    assert "by somebody else" not in done.stderr
