"""Backups of an LMDB store: taken while it is served, restored where there is no store.

A backup is a complete store, as of one moment. Run this in its own process: LMDB opens a store only once per process.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import lmdb

from service.stores.connect import lmdb_directory
from service.stores.limits import Limits
from service.stores.lmdb.boot import FILE, OPENING, USERS, Boot, Users, boot_id, sync_directory, write_boot
from service.stores.lmdb.check import StoreDamaged, check_structure
from service.stores.lmdb.environment import MAX_READERS, file_size, mapped
from service.stores.lmdb.identity import DATA
from service.stores.lmdb.overdue import count_overdue
from service.stores.lmdb.store import MAP_BYTES
from service.stores.lmdb.tables import NUM_TABLES, Tables

_GROWTH_BYTES = 2**24  # by which a store that is in use may grow while it is opened


class BackupRefused(Exception):
    """A store cannot be copied from its source or to its destination; nothing was changed."""


class SessionCount(NamedTuple):
    """How many live sessions a store has, and how many of them have expired."""

    num_live: int
    num_expired: int


def backup(url: str, destination: Path) -> int:
    """Copy a store, which may be in use.

    Args:
        url: The store's URL, `lmdb://...`.
        destination: A directory that does not exist or is empty.

    Returns:
        Size of the copy in bytes.

    Raises:
        BackupRefused: There is no store, or the destination is not empty.
        NoAddressSpace: There is no room to map the store.
        StoreUnknown: The URL is not that of an LMDB store.
        OSError: A file cannot be read or written.
    """
    source = _directory(url, "for Redis use `redis-cli --rdb`")
    if not (source / DATA).exists():
        raise BackupRefused(f"there is no session store in {source}")
    if destination.exists() and any(destination.iterdir()):
        raise BackupRefused(f"{destination} is not empty")
    with _made(destination), _whole(destination):
        _copy_used(source, destination)
        return _finish(destination)


def restore(source: Path, url: str) -> int:
    """Copy a backup to where there is no store yet.

    Args:
        source: A directory that `backup` has written, or that of a store that no process has open.
        url: URL of the new store, `lmdb://...`.

    Returns:
        Size of the store in bytes.

    Raises:
        BackupRefused: There is no backup, it is in use or damaged, or there is a store at the destination.
        StoreUnknown: The URL is not that of an LMDB store.
        OSError: A file cannot be read or written.
    """
    destination = _directory(url, "for Redis start a server on its dump (docs/sessions.md, Backup)")
    if not (source / DATA).exists():
        raise BackupRefused(f"there is no backup in {source}")
    _refuse_if_there(destination)
    _refuse_if_used(source)
    with _made(destination), Users(destination).opening():
        _refuse_if_there(destination)
        with _whole(destination):
            _copy_unused(source, destination)
            return _finish(destination)


def count_sessions(url: str, now: int) -> SessionCount:
    """Count the sessions of a store.

    Args:
        url: The store's URL, `lmdb://...`.
        now: Wall-clock seconds since 1970.

    Raises:
        lmdb.Error, struct.error: The store cannot be opened, or is damaged.
        NoAddressSpace: There is no room to map the store.
    """
    with _opened(_directory(url), max_dbs=NUM_TABLES) as environment:
        tables = Tables(environment, Limits())
        with environment.begin() as txn:
            return SessionCount(tables.count(txn).num_live, count_overdue(tables, txn, now))


def _opened(directory: Path, max_dbs: int = 0) -> lmdb.Environment:
    """Open a store that may be in use, to read it."""

    def open_mapped(num_bytes: int) -> lmdb.Environment:
        return lmdb.open(
            str(directory), readonly=True, create=False, max_readers=MAX_READERS, map_size=num_bytes, max_dbs=max_dbs
        )

    return mapped(open_mapped, MAP_BYTES, file_size(directory) + _GROWTH_BYTES)


def _copy_used(source: Path, destination: Path) -> None:
    """Copy the file of a store that may be in use."""
    file = os.open(destination / DATA, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with _opened(source) as environment:
            # Not a compacting copy: with LMDB 0.9.36 that crashes on a store that is being written.
            environment.copyfd(file, compact=False)
    except lmdb.Error as error:
        raise BackupRefused(f"the session store in {source} cannot be copied: {error}") from error
    finally:
        os.close(file)


def _copy_unused(source: Path, destination: Path) -> None:
    """Copy an unused store's file if it is sound. The copy gets its final name only once it is complete."""
    draft = destination / "restoring"
    draft.mkdir(exist_ok=True)
    try:
        shutil.copyfile(source / DATA, draft / DATA)
        check_structure(draft)
        (draft / DATA).chmod(0o600)
        (draft / DATA).replace(destination / DATA)
    except StoreDamaged as error:
        raise BackupRefused(
            f"the backup in {source} is damaged ({error.reason}), so nothing was restored; was it copied with cp or "
            "rsync while it was served?"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _refuse_if_used(directory: Path) -> None:
    if not (directory / USERS).exists():
        return
    users = Users(directory)
    with users.opening():
        users.join()
        is_alone = users.is_alone()
        users.leave()
    if not is_alone:
        raise BackupRefused(f"the session store in {directory} is in use: restore a backup of it")


def _refuse_if_there(directory: Path) -> None:
    if (directory / DATA).exists():
        raise BackupRefused(f"there is a session store in {directory}: stop its service and move it away first")


def _directory(url: str, for_redis: str = "") -> Path:
    if not url.startswith("lmdb:"):
        raise BackupRefused(
            f"UNROLLED_STORE names no lmdb:// store, and only such a store is copied or restored; {for_redis}"
        )
    return lmdb_directory(url)


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    """Create a directory unless it exists. If the block fails, restore what was there."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    had_lock = (directory / OPENING).exists()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not had_lock and not (directory / DATA).exists():
            (directory / OPENING).unlink(missing_ok=True)
        with suppress(OSError):  # somebody has put something there meanwhile
            for each in missing:
                each.rmdir()
        raise


@contextmanager
def _whole(directory: Path) -> Iterator[None]:
    """Write a store to a directory that has none. If the block fails, remove what it has written."""
    try:
        yield
    except BaseException:
        for path in (directory / DATA, *directory.glob(f"{FILE}*")):
            path.unlink(missing_ok=True)
        raise


def _finish(directory: Path) -> int:
    """Sync a store's file to the disk, declare the store safe, and return its size in bytes."""
    with (directory / DATA).open("rb+") as file:
        os.fsync(file.fileno())
        num_bytes = os.fstat(file.fileno()).st_size
    sync_directory(directory)
    write_boot(directory, Boot(boot_id(), is_safe=True))
    return num_bytes
