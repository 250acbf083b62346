"""What workers say to the first process."""

import subprocess
import sys
from contextlib import closing

import pytest

from service.process.words import Ear

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="listens on Linux's abstract sockets")

SPEAKER = """
import resource
from service.process.words import tell
tell("words of a test", "early", "and whole")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
kept = []
try:
    while True:
        kept.append(open("/dev/null"))
except OSError:
    tell("words of a test", "late")
"""


def test_who_has_as_many_files_open_as_it_may_is_heard() -> None:
    with closing(Ear("words of a test")) as ear, subprocess.Popen([sys.executable, "-c", SPEAKER]) as speaker:  # noqa: S603  words of this test
        assert ear.hear(30) == (speaker.pid, "early", "and whole")
        assert ear.hear(30) == (speaker.pid, "late", "")
    assert speaker.returncode == 0


def test_nobody_need_listen() -> None:
    script = "from service.process.words import tell; tell('nobody', 'word')"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0  # noqa: S603  words of this test
