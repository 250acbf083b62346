"""Commands that messages print can be pasted."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from training.command_line import command_line


def test_an_interpreter_below_the_current_directory_is_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert command_line("training", "evaluate", "runs/my run/best") == (
        ".venv/bin/python -m training evaluate 'runs/my run/best'"
    )


def test_any_other_interpreter_is_the_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/opt/my python/bin/python")
    assert command_line("export", "best") == "'/opt/my python/bin/python' -m export best"


def test_a_pasted_command_runs() -> None:
    words = shlex.split(command_line("calendar", "2026", "11"))
    assert "November 2026" in subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: S603
