"""The directory of a running service, in which its processes share metric files, sockets and seat locks.

It is among the temporary files, named after the service's port, and only its user may look into it.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_NAME = "DIRECTORY_OF_UNROLLED"  # workers inherit it from the first process


class DirectoryUnusable(Exception):
    """There is no room for the directory, or for what is kept in it."""


def create_service_directory(port: int) -> Path:
    """Make the directory of a port's service, in its first process. It is removed when that process ends.

    Directories that killed services of that port have left are removed first.

    Raises:
        DirectoryUnusable: There is no room for it.
    """
    prefix = f"unrolled-{port}-"
    directory = Path(tempfile.gettempdir()) / f"{prefix}{os.getpid()}.service"
    for path in directory.parent.glob(f"{prefix}*.service"):
        # In a container that is started again, the first process has the same id.
        is_left = path == directory or not psutil.pid_exists(_pid_of(path))
        with suppress(OSError):
            if is_left and path.lstat().st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
    with directory_errors(directory):
        directory.mkdir(mode=0o700)
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        # While this process has it open and locked, systemd-tmpfiles(8), which removes what is old, leaves it alone.
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_SH)
    os.environ[_NAME] = str(directory)
    return directory


def service_directory() -> Path | None:
    """Return the directory of the service that this process belongs to. None if no service has started it."""
    directory = Path(os.environ.get(_NAME, ""))
    return directory if directory.is_absolute() else None


@contextmanager
def directory_errors(directory: Path) -> Iterator[None]:
    """Turn an OSError about a directory into DirectoryUnusable.

    Raises:
        DirectoryUnusable: There is no room in it.
    """
    try:
        yield
    except OSError as error:
        raise DirectoryUnusable(
            f"what the service's processes share cannot be kept in {directory}: {error.strerror}"
        ) from error


def _pid_of(directory: Path) -> int:
    with suppress(ValueError):
        return int(directory.stem.rpartition("-")[2])
    return 0
