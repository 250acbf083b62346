"""Whether an embedded store's files survived a crash: a small file and two locks beside them.

A killed process loses nothing, since what it wrote is in the kernel's page cache. A kernel crash or power failure loses
whatever had not reached the disk, in no particular order. So the file records under which boot of the machine the store
was last opened, and whether everything in it is safe on the disk. If it is not, and the machine has booted since, the
store must be checked before it is served.

    unsafe     written before the first write that is not synced
    safe       written after a sync: by the last process to close the store, or by one that syncs every commit

While the store is open, that holds only for the file that it is open in: a copy that is made meanwhile lacks writes.

Knows nothing about the content of a store's files.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FILE = "boot.json"
OPENING = "opening.lock"
USERS = "users.lock"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Boot(NamedTuple):
    """The boot under which a store was last opened, and whether all of it is on the disk.

    Attributes:
        file: Device and number of the file that this is said of. Empty once the store was closed: then it is said of
            any copy, too.
    """

    boot_id: str
    is_safe: bool
    file: str = ""


class Users:
    """The processes that have a store open.

    Args:
        directory: The store's existing directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._users: IO[bytes] | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Make other processes wait while this one opens or closes the store."""
        with (self._directory / OPENING).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def join(self) -> None:
        """Join the users. The kernel removes a process that dies."""
        self._users = (self._directory / USERS).open("wb")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def is_alone(self) -> bool:
        """Return whether this is the only user. Call it within `opening`."""
        if self._users is None:
            raise RuntimeError("a process asks whether it is alone before it has joined")
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._users, fcntl.LOCK_SH)  # a failed conversion drops the shared lock
        return True

    def leave(self) -> None:
        """Leave the users."""
        if self._users is not None:
            self._users.close()
            self._users = None


def boot_id() -> str:
    """Return the kernel's id of the current boot, or "" if it is not known."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def read_boot(directory: Path) -> Boot | None:
    """Read a store's boot file. Return None if it is missing or unreadable."""
    try:
        content = json.loads((directory / FILE).read_bytes())
        return Boot(str(content["boot_id"]), content["safe"] is True, str(content.get("file", "")))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_boot(directory: Path, boot: Boot) -> None:
    """Write a store's boot file and sync it to the disk.

    If the disk has no room for a second file, the first is overwritten in place. Should a crash leave it cut short, it
    is unreadable, so the store is checked.
    """
    path, draft = directory / FILE, directory / f"{FILE}.draft"
    content = json.dumps({"boot_id": boot.boot_id, "safe": boot.is_safe, "file": boot.file}).encode()
    try:
        with draft.open("wb") as file:
            _write_synced(file, content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if error.errno not in NO_ROOM or not path.exists():
            raise
        with path.open("r+b") as file:
            _write_synced(file, content)
    sync_directory(directory)


def _write_synced(file: IO[bytes], content: bytes) -> None:
    file.write(content)
    file.truncate()
    file.flush()
    os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Sync a directory's entries to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
