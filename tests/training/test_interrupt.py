"""Ctrl-C while a command line imports its modules."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT
from training.interrupt import ending_at_once

# As numpy and matplotlib do with a KeyboardInterrupt, in some of their lines.
SWALLOWS_CTRL_C = """
import signal
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    raise ValueError("what is meant by this?") from None
"""


@pytest.mark.parametrize(
    ("package", "interrupted"), [("training", "ctypes"), ("training", "torch"), ("export", "torch")]
)
def test_ctrl_c_during_the_imports_ends_the_command_without_an_error(
    tmp_path: Path, package: str, interrupted: str
) -> None:
    (tmp_path / f"{interrupted}.py").write_text(SWALLOWS_CTRL_C)
    command = [sys.executable, "-m", package, "--help"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.fixture
def _handler_stays() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_handler_stays")
@pytest.mark.parametrize(
    ("inherited", "during"),
    [(signal.default_int_handler, signal.SIG_DFL), (signal.SIG_IGN, signal.SIG_IGN)],
)
def test_ctrl_c_is_what_it_was_before_afterwards(inherited: signal.Handlers, during: signal.Handlers) -> None:
    signal.signal(signal.SIGINT, inherited)
    with ending_at_once():
        assert signal.getsignal(signal.SIGINT) == during
    assert signal.getsignal(signal.SIGINT) == inherited
