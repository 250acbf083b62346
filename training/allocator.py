"""Keeps freed memory, since every step of a training allocates and frees the same tensors of up to 64 MB.

By default glibc maps each tensor above a threshold (32 MB at most) afresh and returns the top of its heap to the
kernel, so that pages are zeroed and faulted in again in every step. The translations, whose logits are that large, took
1.2 to 1.3 times as long with that (docs/log.md).
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h
_KEPT_BYTES = 2**31 - 1  # the largest int
_GROWN_BYTES = 64 * 2**20


def keep_freed_memory() -> None:
    """Let glibc's heap hold every tensor, grow in large pieces and never shrink: mallopt(3). Does nothing elsewhere."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        return
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    libc.mallopt(_M_TOP_PAD, _GROWN_BYTES)
