"""The mount point of a directory."""

from pathlib import Path

import psutil


def mount_point(directory: Path) -> Path:
    """Return the mount point of the file system that a directory is on, or would be on if it existed."""
    mounted = {partition.mountpoint for partition in psutil.disk_partitions(all=True)}
    resolved = directory.resolve()
    return next((each for each in (resolved, *resolved.parents) if str(each) in mounted), Path("/"))
