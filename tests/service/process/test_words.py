"""What workers say to the first process."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from service.process.words import Ear

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel names a sender on Linux alone")

SPEAKER = """
import resource
from service.process.words import tell
tell("topic", "early", "and whole")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
kept = []
try:
    while True:
        kept.append(open("/dev/null"))
except OSError:
    tell("topic", "late")
"""
SPEAKER_WITHOUT_DIRECTORY = """
import shutil, sys
from service.process.words import tell
tell("topic", "early")
shutil.rmtree(sys.argv[1])
tell("topic", "late")
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's, of a path that is longer than a socket's may be."""
    directory = tmp_path / ("long" * 30)
    directory.mkdir()
    monkeypatch.setenv("DIRECTORY_OF_UNROLLED", str(directory))
    return directory


def test_who_has_as_many_files_open_as_it_may_is_heard(directory: Path) -> None:
    with closing(Ear("topic", directory)) as ear, subprocess.Popen([sys.executable, "-c", SPEAKER]) as speaker:  # noqa: S603  words of this test
        assert ear.hear(30) == (speaker.pid, "early", "and whole")
        assert ear.hear(30) == (speaker.pid, "late", "")
    assert speaker.returncode == 0


def test_who_has_spoken_is_heard_though_the_directory_is_removed(directory: Path) -> None:
    command = [sys.executable, "-c", SPEAKER_WITHOUT_DIRECTORY, str(directory)]
    with closing(Ear("topic", directory)) as ear, subprocess.Popen(command) as speaker:  # noqa: S603  words of this test
        assert ear.hear(30) == (speaker.pid, "early", "")
        assert ear.hear(30) == (speaker.pid, "late", "")
    assert speaker.returncode == 0


@pytest.mark.parametrize("kind", ["nobody listens", "no directory", "no service"])
def test_nobody_need_listen(directory: Path, kind: str) -> None:
    named = {"nobody listens": str(directory), "no directory": f"{directory}-removed", "no service": ""}[kind]
    script = "from service.process.words import tell; tell('topic', 'word')"
    environment = {**os.environ, "DIRECTORY_OF_UNROLLED": named}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0  # noqa: S603  words of this test
