"""The directory that the processes of a service share."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from service.process.service_directory import create_service_directory, service_directory

PORT = 47


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are, of a test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("DIRECTORY_OF_UNROLLED", "")  # which it was before, afterwards
    return tmp_path


def made_by(directory: Path) -> Path:
    return directory / f"unrolled-{PORT}-{os.getpid()}.service"


def test_only_its_user_may_look_into_it_and_its_processes_know_it(directory: Path) -> None:
    assert service_directory() is None
    assert create_service_directory(PORT) == service_directory() == made_by(directory)
    assert stat.S_IMODE(made_by(directory).stat().st_mode) == 0o700


def test_a_second_service_leaves_the_directory_of_the_first(directory: Path) -> None:
    create_service_directory(PORT)
    create_service_directory(PORT + 1)
    assert made_by(directory).is_dir()


def test_what_killed_services_of_the_port_have_left_goes(directory: Path) -> None:
    left = [directory / f"unrolled-{PORT}-{2**30}.service", directory / f"unrolled-{PORT}-x.service"]
    of_the_same_pid, kept = made_by(directory), directory / f"unrolled-{PORT}-1.service"
    for each in (*left, of_the_same_pid, kept):
        each.mkdir()
        (each / "counter_7.db").touch()
    create_service_directory(PORT)
    assert {path.name for path in directory.iterdir()} == {kept.name, of_the_same_pid.name}
    assert not list(of_the_same_pid.iterdir())


def test_a_link_of_somebody_elses_is_passed_over(directory: Path) -> None:
    (directory / f"unrolled-{PORT}-{2**30}.service").symlink_to(directory / "nowhere")
    create_service_directory(PORT)
    assert made_by(directory).is_dir()
