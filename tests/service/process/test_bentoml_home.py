"""The directories that BentoML makes when it is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.process.bentoml_home import NAMES, create_home


def test_what_is_missing_is_made(tmp_path: Path) -> None:
    assert create_home({"BENTOML_HOME": str(tmp_path / "a" / "b")}) is None
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == set(NAMES)


def test_without_the_variable_they_are_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert create_home({}) is None
    assert {path.name for path in (tmp_path / "bentoml").iterdir()} == set(NAMES)


@pytest.mark.parametrize("home", ["/proc/bentoml", "/dev/null", "/dev/null/bentoml"])
def test_where_they_cannot_be_made_it_is_told_in_one_line(home: str) -> None:
    told = create_home({"BENTOML_HOME": home})
    assert told is not None
    assert told.startswith(f"BENTOML_HOME: user {os.geteuid()} cannot make BentoML's directories in {home}: [Errno")
    assert "\n" not in told


def test_one_that_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"")
    assert "models" in (create_home({"BENTOML_HOME": str(tmp_path)}) or "")


@pytest.mark.parametrize("home", ["$HOME/b", "${HOME}/b", "~/b"])
def test_variables_and_tildes_are_read_as_bentoml_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert create_home({"BENTOML_HOME": home}) is None
    assert {path.name for path in (tmp_path / "b").iterdir()} == set(NAMES)


def test_they_are_those_that_bentoml_makes(tmp_path: Path) -> None:
    containers = "bentoml._internal.configuration.containers"
    subprocess.run(  # noqa: S603  our words
        [sys.executable, "-c", f"from {containers} import BentoMLContainer as all; all.bentoml_home.get()"],
        env={**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"},
        check=True,
    )
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)
