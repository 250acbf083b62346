"""A lock on the fast port, which workers of one service share (SO_REUSEPORT): those of another would join unnoticed."""

import fcntl
import os
import tempfile
from pathlib import Path


class PortTaken(Exception):
    """Another service holds the port."""


def hold_port(port: int, service: int, directory: Path | None = None) -> int:
    """Hold a port for a service until this process ends.

    Args:
        port: The port.
        service: Process id of the service's parent, the same for all its workers.
        directory: Of the lock files; the system's for temporary files by default.

    Returns:
        The file descriptor of the lock; closing it lets go.

    Raises:
        PortTaken: Workers of another service hold it.
    """
    path = (directory or Path(tempfile.gettempdir())) / f"unrolled-port-{port}.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise PortTaken(f"port {port} belongs to another user's service, says {path}: {error.strerror}") from error
    if _is_first(lock):
        os.truncate(lock, 0)
        os.pwrite(lock, str(service).encode(), 0)
    fcntl.flock(lock, fcntl.LOCK_SH)
    holder = os.pread(lock, 32, 0).decode()
    if holder != str(service):
        os.close(lock)
        raise PortTaken(
            f"port {port} is used by another Unrolled, process {holder}: stop it, or set UNROLLED_FAST_PORT"
        )
    return lock


def _is_first(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
