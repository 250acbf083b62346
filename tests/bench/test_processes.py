import os
import subprocess
import sys

import pytest

from bench.processes import anonymous_bytes, busiest, cpu_seconds, descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is shared is told on Linux only")

GRANDCHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'])"


def test_grandchildren_are_descendants() -> None:
    command = [sys.executable, "-c", GRANDCHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:  # noqa: S603  this interpreter
        assert child.stdin is not None
        found: list[int] = []
        while not found:
            found = descendants(child.pid)
        assert {child.pid, *found} <= set(descendants(os.getpid()))
        child.stdin.close()


def test_the_process_that_has_worked_is_the_busiest() -> None:
    assert busiest(os.getpid()) == os.getpid()


def test_memory_of_its_own_is_counted_in_bytes() -> None:
    before = anonymous_bytes(os.getpid())
    block = b"x" * 50_000_000
    assert anonymous_bytes(os.getpid()) - before > 40_000_000
    del block


def test_a_process_that_is_gone_has_done_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert cpu_seconds(child.pid) == 0
