"""The file of API keys: its lines, and the verbs that edit it.

    # owner:key-id:sha256-of-secret
    ada:3f9c1d20aa71:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

A caller sends `unr_<key-id>_<secret>`. The secret is 256 random bits, so one SHA-256 is as good as the slow hashes that
passwords need: there is no dictionary to try, and 2^256 guesses are out of reach at any speed.
"""

import fcntl
import hashlib
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from service.concurrency.file_lock import try_to_lock

PREFIX = b"unr_"
OWNER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_LINE = re.compile(rf"({OWNER.pattern}):([a-z0-9]{{1,32}}):([0-9a-f]{{64}})")
_HEADER = "# owner:key-id:sha256-of-secret\n"
_VERSION = re.compile(r"# version (\d+)\n")
COPYING_SECONDS = 0.5
_KEY_ID_BYTES = 6
_SECRET_BYTES = 32


class KeysUnusable(Exception):
    """The key file cannot be read or edited. The message says why and where, and never quotes the file."""


class KeysUnread(KeysUnusable):
    """The key file could not be opened, which may be temporary."""


class Key(NamedTuple):
    """One line of the key file."""

    owner: str
    key_id: str
    digest: bytes


def read_keys(path: Path) -> dict[bytes, Key]:
    """Read the keys of a file, by their ids.

    Raises:
        KeysUnusable: It is missing, unreadable, malformed, or names a key id twice.
    """
    return _parsed(path, _text(path))


def check_keys(path: Path) -> None:
    """Raise KeysUnusable if a service could not start with this file, or it has no key.

    A file that loses its last key while the service runs is accepted: then no caller is let in.
    """
    if not read_keys(path):
        raise KeysUnusable(f"{path} holds no API key; `python -m service keys add OWNER --file {path}` adds one")


def add_key(path: Path, owner: str) -> str:
    """Add a new key of an owner to the file, which is created if it is missing.

    Returns:
        The token, which is not stored.

    Raises:
        KeysUnusable: The owner's name is not valid, or the file is unusable as it is.
    """
    if not OWNER.fullmatch(owner):
        raise KeysUnusable(f"an owner is 1 to 64 letters, digits, dots, underscores, @ or hyphens, not {owner!r}")
    key_id, secret = secrets.token_hex(_KEY_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    with _locked(path):
        text = _text(path) if path.exists() else _HEADER
        if key_id.encode() in _parsed(path, text):
            raise KeysUnusable(f"the random key id {key_id} is already taken; try again")
        separator = "" if text.endswith("\n") or not text else "\n"
        _replace(path, f"{text}{separator}{owner}:{key_id}:{digest}\n")
    return f"{PREFIX.decode()}{key_id}_{secret}"


def remove_key(path: Path, key_id: str) -> Key:
    """Remove a key from the file. Every worker refuses it within a second.

    Returns:
        The removed key.

    Raises:
        KeysUnusable: There is no such key, or the file is unusable as it is.
    """
    with _locked(path):
        text = _text(path)
        key = _parsed(path, text).get(key_id.encode())
        if key is None:
            raise KeysUnusable(f"{path} holds no key {key_id!r}")
        kept = [line for line in text.splitlines(keepends=True) if f":{key_id}:" not in _content(line)]
        _replace(path, "".join(kept))
    return key


def copy_keys(keys: Iterable[Key], path: Path, version: int) -> None:
    """Write keys to another file, which need not outlive the machine, unless that has a later version.

    If it cannot be written, there is none: an older copy may hold removed keys.
    """
    lines = (f"{key.owner}:{key.key_id}:{key.digest.hex()}\n" for key in keys)
    try:
        with _copying(path):
            if not _is_later(path, version):
                _replace(path, f"# version {version}\n{''.join(lines)}", is_durable=False)
    except OSError:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _copying(path: Path) -> Iterator[None]:
    """Let one process copy at a time, unless another one hangs.

    The lock is a file, since others lock the folder for as long as they run.
    """
    with path.with_name(f"{path.name}.lock").open("ab") as lock:
        until = time.monotonic() + COPYING_SECONDS
        while not try_to_lock(lock) and time.monotonic() < until:
            time.sleep(COPYING_SECONDS / 20)
        yield


def _is_later(path: Path, version: int) -> bool:
    try:
        return read_copy(path)[0] > version
    except KeysUnusable:
        return False


def read_copy(path: Path) -> tuple[int, dict[bytes, Key]]:
    """Read what `copy_keys` has written: the version, and the keys by their ids.

    Raises:
        KeysUnusable: It is missing, unreadable or malformed.
    """
    text = _text(path)
    version = _VERSION.match(text)
    if version is None:
        raise KeysUnusable(f"{path} has no version")
    return int(version[1]), _parsed(path, text)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise KeysUnread(f"the API keys in {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeysUnusable(f"{path} is not a text file") from error


def _content(line: str) -> str:
    """Return a line without its comment."""
    return line.partition("#")[0].strip()


def _parsed(path: Path, text: str) -> dict[bytes, Key]:
    keys: dict[bytes, Key] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = _content(line)
        if not content:
            continue
        fields = _LINE.fullmatch(content)
        if fields is None:  # the line is not shown: it may hold a secret that was pasted by mistake
            raise KeysUnusable(f"{path}, line {number}: not owner:key-id:sha256-of-secret")
        owner, key_id, digest = fields.groups()
        if key_id.encode() in keys:
            raise KeysUnusable(f"{path}, line {number}: key {key_id} is there twice")
        keys[key_id.encode()] = Key(owner, key_id, bytes.fromhex(digest))
    return keys


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process edit at a time. The lock is on the folder, since the file is replaced."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        raise KeysUnusable(f"the folder of {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
        os.fsync(folder)
    except OSError as error:
        raise KeysUnusable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        os.close(folder)


def _replace(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Replace the file as a whole, readable by its owner, and by its group if that could read it before."""
    target = path.resolve()  # a link stays a link
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if is_durable:
                file.flush()
                os.fsync(descriptor)
        if target.exists():
            _copy_ownership(target, draft)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _copy_ownership(target: Path, draft: Path) -> None:
    """Give a draft the owner and the permissions of the file it replaces, but none to the rest of the world."""
    before, now = target.stat(), draft.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        os.chown(draft, before.st_uid, before.st_gid)
    draft.chmod(stat.S_IMODE(before.st_mode) & 0o770)
