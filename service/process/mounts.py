"""Where a directory's files are kept: the mount that it lies on."""

from pathlib import Path

import psutil


def mount_point(directory: Path) -> Path:
    """The mount point of the file system that a directory lies on, or would lie on if it existed."""
    mounted = {partition.mountpoint for partition in psutil.disk_partitions(all=True)}
    resolved = directory.resolve()
    return next((each for each in (resolved, *resolved.parents) if str(each) in mounted), Path("/"))
