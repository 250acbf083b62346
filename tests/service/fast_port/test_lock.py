"""Whose a port is, with processes that hold it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.fast_port.lock import PortTaken, hold_port

PORT = 3001
HOLDER = """
import sys
from pathlib import Path
from service.fast_port.lock import hold_port
hold_port(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(directory: Path, service: int, port: int = PORT) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a port, until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(port), str(service), str(directory)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """A lock of this process, for service 7, which ends with the test."""
    lock = hold_port(PORT, 7, tmp_path)
    yield lock
    os.close(lock)


def test_workers_of_one_service_share_their_port(tmp_path: Path, held: int) -> None:
    with holding(tmp_path, 7), holding(tmp_path, 7):
        assert held > 0


def test_another_service_is_refused_and_told_whose_it_is(tmp_path: Path) -> None:
    with holding(tmp_path, 7), pytest.raises(PortTaken, match="process 7"):
        hold_port(PORT, 8, tmp_path)


def test_other_ports_are_free(tmp_path: Path, held: int) -> None:
    assert held > 0
    with holding(tmp_path, 8, PORT + 1):
        pass


def test_a_port_is_held_while_any_worker_lives_and_free_after_the_last_was_killed(tmp_path: Path) -> None:
    with holding(tmp_path, 7) as second:
        with holding(tmp_path, 7) as first:
            first.kill()
            first.wait()
            with pytest.raises(PortTaken):
                hold_port(PORT, 8, tmp_path)
        second.kill()
        second.wait()
        with holding(tmp_path, 8):
            pass


def test_a_lock_file_that_cannot_be_opened_is_another_users(tmp_path: Path) -> None:
    (tmp_path / f"unrolled-port-{PORT}.lock").mkdir()
    with pytest.raises(PortTaken, match="another user"):
        hold_port(PORT, 7, tmp_path)
