"""A lock on the fast port, which workers of one service share (SO_REUSEPORT): those of another would join unnoticed.

Linux lets only processes of one user share a port, so the locks are that user's alone: they lie in a directory that
nobody else may enter. Among temporary files anybody may take its name; then it has the next of a few.
"""

import fcntl
import os
import stat
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from service.concurrency.file_lock import try_to_lock
from service.process.service_directory import DirectoryUnusable, directory_errors


class PortTaken(Exception):
    """Another service holds the port."""


def hold_port(port: int, service: int, temporary: Path | None = None) -> ExitStack:
    """Hold a port for a service until this process ends.

    Args:
        port: The port.
        service: Process id of the service's parent, the same for all its workers.
        temporary: Directory in which that of the locks lies; the system's for temporary files by default.

    Returns:
        What lets go when it is closed.

    Raises:
        PortTaken: Workers of another service hold it.
        DirectoryUnusable: There is no room for the lock.
    """
    temporary = temporary or Path(tempfile.gettempdir())
    with ExitStack() as held, directory_errors(temporary):
        directory = _own_directory(temporary)
        held.callback(os.close, directory)
        lock = os.open(f"{port}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory)
        held.callback(os.close, lock)
        if try_to_lock(lock):
            os.truncate(lock, 0)
            os.pwrite(lock, str(service).encode(), 0)
        fcntl.flock(lock, fcntl.LOCK_SH)
        holder = os.pread(lock, 32, 0).decode()
        if holder != str(service):
            raise PortTaken(
                f"port {port} is used by another Unrolled, process {holder}: stop it, or set UNROLLED_FAST_PORT"
            )
        return held.pop_all()


def _own_directory(temporary: Path) -> int:
    """Open and lock the first of a few directories that is this user's alone, made if it is not there.

    All services try the same names in the same order, so those that start at once end up with the same.
    """
    for number in ("", "-1", "-2", "-3"):
        path = temporary / f"unrolled-ports-{os.geteuid()}{number}.locks"
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if (directory := _opened(path)) is not None:
            # While it is locked, systemd-tmpfiles(8), which removes what is old, leaves alone what is in it.
            fcntl.flock(directory, fcntl.LOCK_SH)
            return directory
    raise DirectoryUnusable(
        f"no directory in {temporary} can be this user's alone, as locks on ports need it: set TMPDIR"
    )


def _opened(path: Path) -> int | None:
    """Open a directory. None if it is none, or if anybody but this user may write there."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(directory)
    if status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return directory
    os.close(directory)
    return None
