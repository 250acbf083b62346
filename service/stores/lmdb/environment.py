"""This process's LMDB environment: opened once it is safe to, closed so that it can be opened without a check."""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb

from service.stores.base import Unavailable
from service.stores.limits import Limits
from service.stores.lmdb.boot import FILE, NO_ROOM, Boot, Users, boot_id, read_boot, sync_directory, write_boot
from service.stores.lmdb.check import StoreDamaged, check_records, check_structure, count_owners
from service.stores.lmdb.identity import DATA, LOCK, Identity, number_of
from service.stores.lmdb.tables import NUM_TABLES, Tables

logger = logging.getLogger(__name__)

MAX_READERS = 1024
TIMES_MAPPED = 4  # of the bytes that it may hold: twice what its file takes (disk_room.py)
TIMES_FILE_MAPPED = 2
_NO_ROOM_BYTES = 2**20
_BROKEN = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError)


class NoAddressSpace(Unavailable):
    """This process may not map as much as a store may grow to, or has grown to."""

    def __init__(self, num_bytes: int, otherwise: str) -> None:
        super().__init__(
            f"the session store needs {num_bytes // 2**20} MiB of address space, more than this process may map: "
            f"raise the limit (ulimit -v, LimitAS=){otherwise}"
        )


class OpenedStore:
    """The environment, its tables and this process's membership of its users. Opens on construction.

    Args:
        directory: The store's directory; created if missing.
        map_size: Bytes that the store may grow to; address space, not memory. Fewer if there is no room for so many.
        is_synced: Whether each commit is synced to the disk.
        limits: How much it may hold.
        identity: Knows which files are the store's.

    Raises:
        StoreMoved: The files are not those that were opened before.
        StoreDamaged: The files are broken.
        NoAddressSpace: There is no room for what it may hold.
    """

    def __init__(self, directory: Path, map_size: int, is_synced: bool, limits: Limits, identity: Identity) -> None:
        self._directory = directory
        self._identity = identity
        identity.check_before_opening()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._users = Users(directory)
        with self._users.opening():
            known = read_boot(directory)
            reason = _reason_to_check(directory, known)
            if reason:
                logger.warning("%s; checking the whole store", reason)
                check_structure(directory)
            self.environment = _open(directory, map_size, is_synced, limits.max_bytes)
            try:
                identity.opened()
                self._users.join()
                self.tables = Tables(self.environment, limits)
                if reason:
                    self._check_records()
                self._declare(known, is_synced)
                with self.environment.begin(write=True) as txn:
                    count_owners(self.tables, txn)
            except BaseException:
                self.abandon()
                raise

    def abandon(self) -> None:
        """Close a broken environment without a sync."""
        self.environment.close()
        self._users.leave()

    def close(self) -> None:
        """Sync to the disk and close. The last process declares the store safe, unless its files were moved."""
        if self._identity.look():
            self.environment.sync(True)
            self.abandon()
            return
        with self._users.opening():
            try:
                self.environment.sync(True)
                if self._users.is_alone():
                    write_boot(self._directory, Boot(boot_id(), is_safe=True))
            finally:
                self.abandon()

    def _check_records(self) -> None:
        with self.environment.begin(write=True) as txn:
            num_damaged = check_records(self.tables, txn)
        logger.warning("checked the session store: its structure is intact, %d records are damaged", num_damaged)

    def _declare(self, known: Boot | None, is_synced: bool) -> None:
        """Write, before anything else, whether the store must be checked after a crash from now on."""
        is_safe = False
        if is_synced:
            self.environment.sync(True)
            sync_directory(self._directory)
            is_safe = self._users.is_alone() or (known is not None and known.is_safe)
        boot = Boot(boot_id(), is_safe, number_of(self._directory / DATA))
        if boot != known:
            write_boot(self._directory, boot)


def _reason_to_check(directory: Path, known: Boot | None) -> str:
    """Return why the files may have lost writes. Empty if they have not."""
    data = directory / DATA
    if not file_size(directory):
        return ""
    if known is None:
        return f"{FILE} of the session store is missing or unreadable"
    if known.file not in ("", number_of(data)):
        return (
            "the session store was not closed, and is in another file now: it was copied while it was served, or its "
            "volume mounted anew"
        )
    if known.is_safe or known.boot_id == boot_id() != "":
        return ""
    return "the machine has crashed since the session store was last used"


def _open(directory: Path, map_size: int, is_synced: bool, max_bytes: int) -> lmdb.Environment:
    def open_mapped(num_bytes: int) -> lmdb.Environment:
        return lmdb.open(
            str(directory),
            map_size=num_bytes,
            sync=is_synced,
            mode=0o700,
            max_readers=MAX_READERS,
            max_dbs=NUM_TABLES,
            max_spare_txns=1,
        )

    missing = [path for path in (directory / DATA, directory / LOCK) if not os.path.lexists(path)]
    for_limit, for_file = TIMES_MAPPED * max_bytes, TIMES_FILE_MAPPED * file_size(directory)
    otherwise = ", or lower UNROLLED_MAX_STORE_BYTES" if for_limit > for_file else ""
    try:
        environment = mapped(open_mapped, map_size, max(for_limit, for_file), otherwise)
    except _BROKEN as error:
        raise StoreDamaged(directory, str(error)) from error
    except NoAddressSpace:
        for path in missing:  # LMDB makes them first
            path.unlink(missing_ok=True)
        raise
    environment.reader_check()
    return environment


def file_size(directory: Path) -> int:
    """Return the bytes of a store's file, 0 if it is missing."""
    data = directory / DATA
    return data.stat().st_size if data.exists() else 0


def mapped(
    open_mapped: Callable[[int], lmdb.Environment], most: int, least: int, otherwise: str = ""
) -> lmdb.Environment:
    """Open an environment with the largest map that this process has address space for.

    Args:
        open_mapped: Opens it with a map of so many bytes.
        most: Size of the largest map, which is halved until there is room.
        least: What a smaller one would not be enough for.
        otherwise: What helps as well as a higher limit, in the error's words.

    Raises:
        NoAddressSpace: There is no room for that.
    """
    num_bytes, least = most, min(least, most)
    while True:
        try:
            return open_mapped(num_bytes)
        except lmdb.MemoryError as error:
            if num_bytes == least:
                raise NoAddressSpace(least, otherwise) from error
            num_bytes = max(num_bytes // 2, least)


def unavailable(directory: Path, error: Exception) -> Unavailable:
    """Return the store's error for a failure of LMDB or the file system."""
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, _BROKEN):
        return StoreDamaged(directory, str(error))
    if isinstance(error, lmdb.MapFullError):
        return Unavailable(f"the session store in {directory} has grown to the size of its map")
    if _is_disk_full(directory, error):
        return Unavailable(
            f"the disk of the session store in {directory} is full: make room on it or enlarge the volume; nothing "
            "that was acknowledged is lost"
        )
    return Unavailable(f"the session store in {directory} cannot be used: {error}")


def _is_disk_full(directory: Path, error: Exception) -> bool:
    """Return whether an error means a full disk. LMDB reports a partial write as an input/output error."""
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    if code == errno.EIO:
        return shutil.disk_usage(directory).free < _NO_ROOM_BYTES
    return code in NO_ROOM
