"""How commands end."""

import subprocess
import sys

import pytest

from bench.command import INTERRUPTED
from bench.options import read_options

STOPPED = """
import os, signal, sys
from bench.command import run_command

def run():
    try:
        os.kill(os.getpid(), signal.{signal})
        signal.pause()
    finally:
        print("stopped what was started")

sys.exit(run_command(run))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_command_stops_what_it_started(name: str) -> None:
    script = [sys.executable, "-c", STOPPED.replace("{signal}", name)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  our own words
    assert (done.returncode, done.stdout) == (INTERRUPTED, "stopped what was started\n")
    assert done.stderr == "\ninterrupted\n"


def test_an_option_that_is_not_valid_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_ROUNDS", "often")
    monkeypatch.setenv("BENCH_SECONDS", "0")
    with pytest.raises(SystemExit, match=r"^error: BENCH_ROUNDS: Input should be a valid integer.*; BENCH_SECONDS: "):
        read_options()
