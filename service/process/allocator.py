"""Freed memory is kept, since a batch's buffers of some 300 KB are taken and given back hundreds of times a second.

glibc returns the top of its heap to the kernel at every such free, and each page is faulted in again at the next use:
taking a batch of 64 rows apart took 420 µs with that, and 50 µs without.
"""

import ctypes
import sys
from collections.abc import Callable

import psutil

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 * 2**20
_MMAPPED_BYTES = 32 * 2**20  # glibc's largest
_GROWN_BYTES = 128 * 2**20


def keep_freed_memory() -> None:
    """Set glibc's thresholds, mallopt(3). Does nothing elsewhere."""
    if libc := _glibc():
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAPPED_BYTES)


def return_freed_memory() -> None:
    """Return to the kernel what is free now, malloc_trim(3): after work that needs much and is done once."""
    if libc := _glibc():
        libc.malloc_trim(0)


class Growth:
    """How much memory this process has taken since it last gave some back.

    Args:
        num_resident: What it has, in bytes.
    """

    def __init__(self, num_resident: Callable[[], int] = lambda: psutil.Process().memory_info().rss) -> None:
        self._num_resident = num_resident
        self._num_settled = num_resident()

    @property
    def is_large(self) -> bool:
        """Whether that is so much that it is worth while to look for what is free."""
        return self._num_resident() > self._num_settled + _GROWN_BYTES

    def settle(self) -> None:
        """Measure from here on."""
        self._num_settled = self._num_resident()


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
