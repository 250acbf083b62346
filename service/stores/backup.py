"""Copies of an LMDB store: taken while it is served, put back where there is none.

A copy is a store of its own, as of one moment. It needs a process of its own: LMDB opens a store once in each.
"""

import os
import shutil
from pathlib import Path

import lmdb

from service.stores.connect import lmdb_directory
from service.stores.lmdb.boot import USERS, Boot, Users, boot_id, sync_directory, write_boot
from service.stores.lmdb.check import check_structure
from service.stores.lmdb.environment import DATA, MAX_READERS
from service.stores.lmdb.store import MAP_BYTES


class BackupRefused(Exception):
    """A store cannot be copied from there, or not to there; nothing was changed."""


def backup(url: str, destination: Path) -> int:
    """Copy a store while it may be served.

    Args:
        url: The store's, `lmdb://...`.
        destination: A directory that is not there, or is empty.

    Returns:
        Bytes of the copy.

    Raises:
        BackupRefused: There is no store, or something at the destination.
        StoreUnknown: The URL is not that of an LMDB store.
        OSError: It cannot be read or written.
    """
    source = lmdb_directory(url)
    if not (source / DATA).exists():
        raise BackupRefused(f"there is no session store in {source}")
    _make_empty(destination)
    try:
        with lmdb.open(
            str(source), readonly=True, create=False, max_readers=MAX_READERS, map_size=MAP_BYTES
        ) as environment:
            # A compacting copy, LMDB 0.9.36's, crashes on a store that is being written.
            environment.copy(str(destination), compact=False)
    except lmdb.Error as error:
        (destination / DATA).unlink(missing_ok=True)
        raise BackupRefused(f"the session store in {source} cannot be copied: {error}") from error
    return _finish(destination)


def restore(source: Path, url: str) -> int:
    """Put a copy in the place of a store that is not there.

    Args:
        source: A directory that `backup` has written, or that of a store that no process has open.
        url: URL of the new store, `lmdb://...`.

    Returns:
        Bytes of the store.

    Raises:
        BackupRefused: There is no copy, it is in use, or there is a store at the destination.
        StoreDamaged: The copy is no whole store.
        StoreUnknown: The URL is not that of an LMDB store.
        OSError: It cannot be read or written.
    """
    destination = lmdb_directory(url)
    if not (source / DATA).exists():
        raise BackupRefused(f"there is no backup in {source}")
    destination.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Users(destination).opening():
        if (destination / DATA).exists():
            raise BackupRefused(f"there is a session store in {destination}: stop its service and move it away first")
        _copy(source, destination)
        return _finish(destination)


def _copy(source: Path, destination: Path) -> None:
    """Copy a sound store's file, under its name only once it is whole."""
    _refuse_if_used(source)
    draft = destination / "restoring"
    draft.mkdir(exist_ok=True)
    try:
        shutil.copyfile(source / DATA, draft / DATA)
        check_structure(draft)
        (draft / DATA).chmod(0o600)
        (draft / DATA).replace(destination / DATA)
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


def _make_empty(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise BackupRefused(f"{directory} is not empty")


def _finish(directory: Path) -> int:
    """Sync a store's file to the disk and declare it safe. Returns its length in bytes."""
    with (directory / DATA).open("rb+") as file:
        os.fsync(file.fileno())
        num_bytes = os.fstat(file.fileno()).st_size
    sync_directory(directory)
    write_boot(directory, Boot(boot_id(), is_safe=True))
    return num_bytes
