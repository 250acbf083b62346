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


@pytest.mark.parametrize("interpreter", ["/opt/my python/bin/python", "here/python"])
def test_any_other_interpreter_is_named_in_full(
    interpreter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "python") if interpreter == "here/python" else interpreter
    monkeypatch.setattr(sys, "executable", path)
    assert command_line("export", "best") == shlex.join([path, "-m", "export", "best"])


def test_a_pasted_command_runs() -> None:
    words = shlex.split(command_line("calendar", "2026", "11"))
    assert "November 2026" in subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: S603
