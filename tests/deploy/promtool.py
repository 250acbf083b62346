"""Prometheus' own tool, where it is installed."""

import subprocess
from shutil import which

import pytest

PROMTOOL = which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: apt-get install prometheus")


def promtool(*words: str) -> None:
    """Have it look at a file, which must be good."""
    done = subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False)  # noqa: S603  our words
    assert done.returncode == 0, done.stdout + done.stderr
