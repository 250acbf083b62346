"""Whether a disk has room: for as much as a store may hold, and for one more session."""

import shutil
from collections.abc import Callable
from pathlib import Path

from service.stores.base import Unavailable
from service.stores.lmdb.identity import DATA

# Bytes of the file for each counted byte: measured as 1.25 to 2.05, depending on the size of a bundle's states.
TIMES_COUNTED = 2
_BLOCK_BYTES = 512
_MEBIBYTE = 2**20

# Reserved so that existing sessions can continue, end and expire. LMDB copies the pages that it changes, even for a
# deletion, and reuses freed pages only two transactions later. With 64 KiB some deletions found no room.
_LEAST_KEPT_BYTES, _MOST_KEPT_BYTES = _MEBIBYTE // 4, 16 * _MEBIBYTE
_SHARE_KEPT = 16


class DiskShort(Unavailable):
    """There is no room for a new session."""


def lack_of_room(directory: Path, max_bytes: int) -> str | None:
    """Return a warning if a store may outgrow its disk, otherwise None.

    Args:
        directory: Directory of a store that has been opened.
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


def check_room(directory: Path, num_free_bytes: Callable[[], int]) -> None:
    """Check that a new session leaves enough disk space for existing ones to continue, end and expire.

    Args:
        directory: The store's directory.
        num_free_bytes: Returns the bytes of free pages in its file. Called only if the disk alone has too little.

    Raises:
        DiskShort: It does not leave enough.
    """
    disk = shutil.disk_usage(directory)
    kept = min(max(_LEAST_KEPT_BYTES, disk.total // _SHARE_KEPT), _MOST_KEPT_BYTES)
    if disk.free < kept and disk.free + num_free_bytes() < kept:
        raise DiskShort(
            f"the disk of the session store in {directory} is full except for {kept // 1024} KiB, which are kept "
            "for existing sessions: end some, free space or enlarge the volume"
        )
