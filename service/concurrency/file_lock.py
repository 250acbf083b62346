"""Locks between processes, flock(2): the kernel frees them when their process ends."""

import fcntl
from typing import Protocol


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


def try_to_lock(file: int | _HasFileno) -> bool:
    """Lock an open file unless another process has. Return whether it is locked now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
