"""What workers say to the first process."""

import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from service.process.messages import BEAT, FAILED, Receiver, send

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel names a sender on Linux alone")

SPEAKER = """
import resource
from service.process.messages import send
send("early", "and whole")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
kept = []
try:
    while True:
        kept.append(open("/dev/null"))
except OSError:
    send("late")
"""
SPEAKER_WITHOUT_DIRECTORY = """
import shutil, sys
from service.process.messages import send
send("early")
shutil.rmtree(sys.argv[1])
send("late")
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's, of a path that is longer than a socket's may be."""
    directory = tmp_path / ("long" * 30)
    directory.mkdir()
    monkeypatch.setenv("DIRECTORY_OF_UNROLLED", str(directory))
    return directory


def test_who_has_as_many_files_open_as_it_may_is_heard(directory: Path) -> None:
    with closing(Receiver(directory)) as receiver, subprocess.Popen([sys.executable, "-c", SPEAKER]) as speaker:  # noqa: S603  words of this test
        assert receiver.receive(30) == (speaker.pid, "early", "and whole")
        assert receiver.receive(30) == (speaker.pid, "late", "")
    assert speaker.returncode == 0


def test_who_has_spoken_is_heard_though_the_directory_is_removed(directory: Path) -> None:
    command = [sys.executable, "-c", SPEAKER_WITHOUT_DIRECTORY, str(directory)]
    with closing(Receiver(directory)) as receiver, subprocess.Popen(command) as speaker:  # noqa: S603  words of this test
        assert receiver.receive(30) == (speaker.pid, "early", "")
        assert receiver.receive(30) == (speaker.pid, "late", "")
    assert speaker.returncode == 0


@pytest.mark.parametrize("kind", ["nobody listens", "no directory", "no service"])
def test_nobody_need_listen(directory: Path, kind: str) -> None:
    named = {"nobody listens": str(directory), "no directory": f"{directory}-removed", "no service": ""}[kind]
    script = "from service.process.messages import send; send('kind')"
    environment = {**os.environ, "DIRECTORY_OF_UNROLLED": named}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0  # noqa: S603  words of this test


def test_what_is_sent_once_waits_for_room(directory: Path) -> None:
    with closing(Receiver(directory)) as receiver:
        for _ in range(2000):  # more than a queue takes
            send(BEAT)
        failed = threading.Thread(target=send, args=(FAILED,))
        failed.start()
        failed.join(0.2)
        while receiver.receive(30).kind != FAILED:
            pass
