"""Where a directory's files are kept: the mount that it lies on, proc(5), mountinfo. Linux only."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
_ESCAPE = re.compile(r"\\([0-7]{3})")


def mount_point(directory: Path, mounts: Path = MOUNTS) -> Path:
    """Where the file system is mounted that a directory lies on or would lie on; "/" where that is the root's."""
    known = {_unescaped(line.split()[_MOUNT_POINT]) for line in mounts.read_text().splitlines()}
    resolved = directory.resolve()
    return next((each for each in (resolved, *resolved.parents) if str(each) in known), Path("/"))


def _unescaped(path: str) -> str:
    """A blank stands there as \\040."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), path)
