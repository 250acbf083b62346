"""Which mount a directory lies on."""

from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from service.process.mounts import mount_point

Partition = namedtuple("Partition", ["mountpoint"])
MOUNTED = [Partition("/"), Partition("/proc"), Partition("/var/lib/unrolled"), Partition("/mnt/two words")]


@pytest.mark.parametrize(
    ("directory", "mount"),
    [
        ("/var/lib/unrolled/sessions", "/var/lib/unrolled"),
        ("/var/lib/unrolled", "/var/lib/unrolled"),
        ("/var/lib/unrolled-2/sessions", "/"),
        ("/home/a/.local/state", "/"),
        ("/mnt/two words/sessions", "/mnt/two words"),
    ],
)
def test_a_directory_lies_on_the_nearest_mount_above_it(
    monkeypatch: pytest.MonkeyPatch, directory: str, mount: str
) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: MOUNTED)
    assert mount_point(Path(directory)) == Path(mount)


def test_this_machine_s_own_table_is_read() -> None:
    assert mount_point(Path("/proc/self")) == Path("/proc")
