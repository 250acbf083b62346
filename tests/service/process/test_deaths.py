"""What the first process logs of workers that end."""

import os
import signal
import subprocess
import sys

import pytest

from service.process.deaths import describe, living_children

WATCHED = """
import logging, os, signal, subprocess, sys, time
from service.process.deaths import POLL_SECONDS, watch_deaths
logging.basicConfig(format="%(message)s")
watch_deaths(lambda: None)
time.sleep(0.2)
lines = []
logging.root.handlers[0].addFilter(lambda line: not lines.append(line))
names = "SIGKILL", "SIGTERM", "SIGSEGV"
ends = [f"os.kill(os.getpid(), signal.{name})" for name in names] + ["sys.exit(3)", "sys.exit(0)"]
workers = [subprocess.Popen([sys.executable, "-c", f"import os, signal, sys; {end}"]) for end in ends]
print(*[worker.pid for worker in workers])
for worker in workers:
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
while len(lines) < 3:
    time.sleep(0.01)
time.sleep(2 * POLL_SECONDS)  # in which none is told again
print(*[worker.wait() for worker in workers])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="waits for children as Linux does")
def test_each_death_is_told_once_and_left_to_be_waited_for() -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  words of this test
    pids, codes = (list(map(int, line.split())) for line in done.stdout.splitlines())
    assert codes == [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGSEGV, 3, 0]
    assert sorted(done.stderr.splitlines()) == sorted(
        [
            f"worker process {pids[0]} was killed by SIGKILL",
            f"worker process {pids[2]} was killed by SIGSEGV",
            f"worker process {pids[3]} has ended with status 3",
        ]
    )


UNLISTED = """
import logging, subprocess, sys, threading
import psutil
from service.process.deaths import watch_deaths
logging.basicConfig(format="%(message)s")
children, failures = psutil.Process.children, [OSError("out of files")]
def list_children(process):
    if failures:
        raise failures.pop()
    return children(process)
psutil.Process.children = list_children
told = threading.Event()
watch_deaths(told.set)
worker = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
print(told.wait(20))
worker.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="waits for children as Linux does")
def test_deaths_are_told_after_the_children_could_not_be_listed() -> None:
    done = subprocess.run([sys.executable, "-c", UNLISTED], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  words of this test
    assert done.stdout == "True\n"
    assert "OSError: out of files" in done.stderr


@pytest.mark.parametrize("status", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_was_asked_to_end_is_no_news(status: int) -> None:
    assert describe(7, os.CLD_KILLED, status) == ""
    assert describe(7, os.CLD_EXITED, 0) == ""


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert describe(7, os.CLD_KILLED, 35) == "worker process 7 was killed by signal 35"


def test_a_dumped_core_is_a_kill() -> None:
    assert describe(7, os.CLD_DUMPED, signal.SIGABRT) == "worker process 7 was killed by SIGABRT"


@pytest.mark.skipif(sys.platform != "linux", reason="waits for children as Linux does")
def test_a_child_that_has_ended_is_not_living_though_nobody_has_waited_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in living_children()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in living_children()
