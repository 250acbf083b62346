"""Whether a disk has room for all that a store may be told to hold."""

import shutil
from pathlib import Path

from service.stores.lmdb.environment import DATA

# Bytes of the file for each byte that is counted: 1.25 to 2.05 were measured, by the size of a bundle's states.
TIMES_COUNTED = 2
_BLOCK_BYTES = 512
_MEBIBYTE = 2**20


def lack_of_room(directory: Path, max_bytes: int) -> str | None:
    """Say that a store's disk is smaller than the store may grow. None if it is not.

    Args:
        directory: The store's, which has been opened.
        max_bytes: Counted bytes that it may hold.
    """
    num_taken = (directory / DATA).stat().st_blocks * _BLOCK_BYTES
    num_bytes = shutil.disk_usage(directory).free + num_taken
    if num_bytes >= TIMES_COUNTED * max_bytes:
        return None
    return (
        f"the disk of the session store in {directory} has {num_bytes // _MEBIBYTE} MiB for it, and sessions take up "
        f"to twice the {max_bytes // _MEBIBYTE} MiB that UNROLLED_MAX_STORE_BYTES allows: enlarge the volume, or set "
        f"that to {num_bytes * 2 // 5} or less"
    )
