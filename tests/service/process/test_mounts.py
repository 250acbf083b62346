"""Which mount a directory lies on."""

from pathlib import Path

import pytest

from service.process.mounts import mount_point

TABLE = """\
22 1 0:21 / / ro,relatime - overlay overlay rw
23 22 0:22 / /proc rw - proc proc rw
31 22 8:1 /volumes/a /var/lib/unrolled rw,relatime shared:5 - ext4 /dev/sda1 rw
32 22 8:1 /volumes/b /mnt/two\\040words rw - ext4 /dev/sda1 rw
"""


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
def test_a_directory_lies_on_the_nearest_mount_above_it(tmp_path: Path, directory: str, mount: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert mount_point(Path(directory), table) == Path(mount)


def test_this_machine_s_own_table_is_read() -> None:
    assert mount_point(Path("/proc/self")) == Path("/proc")
