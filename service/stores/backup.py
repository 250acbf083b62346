"""Copies of an LMDB store: taken while it is served, put back where there is none.

A copy is a store of its own, as of one moment. It needs a process of its own: LMDB opens a store once in each.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lmdb

from service.stores.connect import lmdb_directory
from service.stores.lmdb.boot import FILE, OPENING, USERS, Boot, Users, boot_id, sync_directory, write_boot
from service.stores.lmdb.check import check_structure
from service.stores.lmdb.environment import MAX_READERS
from service.stores.lmdb.identity import DATA
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
    if destination.exists() and any(destination.iterdir()):
        raise BackupRefused(f"{destination} is not empty")
    with _made(destination), _whole(destination):
        _copy_used(source, destination)
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
    _refuse_if_there(destination)
    _refuse_if_used(source)
    with _made(destination), Users(destination).opening():
        _refuse_if_there(destination)
        with _whole(destination):
            _copy_unused(source, destination)
            return _finish(destination)


def _copy_used(source: Path, destination: Path) -> None:
    """Copy the file of a store that may be served."""
    file = os.open(destination / DATA, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with lmdb.open(
            str(source), readonly=True, create=False, max_readers=MAX_READERS, map_size=MAP_BYTES
        ) as environment:
            # A compacting copy, LMDB 0.9.36's, crashes on a store that is being written.
            environment.copyfd(file, compact=False)
    except lmdb.Error as error:
        raise BackupRefused(f"the session store in {source} cannot be copied: {error}") from error
    finally:
        os.close(file)


def _copy_unused(source: Path, destination: Path) -> None:
    """Copy a sound store's file, under its name only once it is whole."""
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


def _refuse_if_there(directory: Path) -> None:
    if (directory / DATA).exists():
        raise BackupRefused(f"there is a session store in {directory}: stop its service and move it away first")


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    """A directory, which is made unless it is there. If what follows fails it is as it was."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    had_lock = (directory / OPENING).exists()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not had_lock and not (directory / DATA).exists():
            (directory / OPENING).unlink(missing_ok=True)
        with suppress(OSError):  # somebody has put something there
            for each in missing:
                each.rmdir()
        raise


@contextmanager
def _whole(directory: Path) -> Iterator[None]:
    """A store is written to a directory that holds none. It is there whole, or not at all if that fails."""
    try:
        yield
    except BaseException:
        for path in (directory / DATA, *directory.glob(f"{FILE}*")):
            path.unlink(missing_ok=True)
        raise


def _finish(directory: Path) -> int:
    """Sync a store's file to the disk and declare it safe. Returns its length in bytes."""
    with (directory / DATA).open("rb+") as file:
        os.fsync(file.fileno())
        num_bytes = os.fstat(file.fileno()).st_size
    sync_directory(directory)
    write_boot(directory, Boot(boot_id(), is_safe=True))
    return num_bytes
