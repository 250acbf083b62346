"""API keys with owners: a file of hashes, read again when it changes, and the verbs that edit it.

    # owner:key-id:sha256-of-secret
    ada:3f9c1d20aa71:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

A caller shows `unr_<key-id>_<secret>`. The secret is 256 random bits that nobody chose, so one SHA-256 is as good as
the slow hashes that passwords need: there is no dictionary to try, and 2^256 guesses are out of reach at any speed. It
is also fast enough for every request, so that no caller's token has to be kept in memory to be recognised again.

Knows no HTTP: `service.api.auth` takes tokens out of requests.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from service.settings import KeySettings

logger = logging.getLogger(__name__)

ANONYMOUS = "anonymous"  # every caller's owner where there are no keys
CHECK_SECONDS = 1.0
OWNER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_PREFIX = b"unr_"
_LINE = re.compile(rf"({OWNER.pattern}):([a-z0-9]{{1,32}}):([0-9a-f]{{64}})")
_HEADER = "# owner:key-id:sha256-of-secret\n"
_KEY_ID_BYTES = 6
_SECRET_BYTES = 32


class KeysUnusable(Exception):
    """The key file cannot be read or edited; says why and where, never what stands there."""


class Key(NamedTuple):
    """One line of the key file."""

    owner: str
    key_id: str
    digest: bytes


_NOBODY = Key("", "", secrets.token_bytes(hashlib.sha256().digest_size))


class _Stamp(NamedTuple):
    """What tells one state of the file from another: contents, and permissions that may have made it unreadable."""

    modified_ns: int
    changed_ns: int
    size: int
    inode: int
    mode: int


def read_keys(path: Path) -> dict[bytes, Key]:
    """The keys of a file by their ids.

    Raises:
        KeysUnusable: It is missing, unreadable, malformed, or names a key id twice.
    """
    return _parsed(path, _text(path))


class Keys:
    """The keys that are valid now: a look at the file at most once a second, a new one as a whole or not at all."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Raises:
            KeysUnusable: It cannot be read as it is.
        """
        self._path = path
        self._clock = clock
        self._stamp = _stamp(path)
        self._keys = read_keys(path)
        self._next_check = clock() + CHECK_SECONDS
        _warn_of_readers(path, self._stamp)

    def find(self, token: bytes) -> Key | None:
        """The key that a token proves, or none. Takes as long for an unknown id as for a wrong secret."""
        self._check()
        if not token.startswith(_PREFIX):
            return None
        key_id, _, secret = token[len(_PREFIX) :].partition(b"_")
        key = self._keys.get(key_id, _NOBODY)
        is_match = hmac.compare_digest(hashlib.sha256(secret).digest(), key.digest)
        return key if is_match and key is not _NOBODY else None

    def holds(self, key: Key) -> bool:
        """Whether a key that was found before is still valid."""
        self._check()
        return self._keys.get(key.key_id.encode()) == key

    def _check(self) -> None:
        now = self._clock()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._reload()

    def _reload(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp  # also where reading fails: one change, one line in the log
        try:
            self._keys = read_keys(self._path)
        except KeysUnusable as error:
            logger.error("%s; the keys read before stay valid", error)
            return
        logger.info("%d API keys read from %s", len(self._keys), self._path)
        _warn_of_readers(self._path, stamp)


def open_keys(settings: KeySettings) -> Keys | None:
    """The keys that are configured, None where there are none and every caller is ANONYMOUS.

    Raises:
        KeysUnusable: The file cannot be read as it is.
    """
    return Keys(Path(settings.api_keys)) if settings.api_keys else None


def check_keys(path: Path) -> None:
    """Raise KeysUnusable where a service could not start with that file, or would let nobody in.

    A file that loses its last key later is obeyed: then nobody is let in.
    """
    if not read_keys(path):
        raise KeysUnusable(f"{path} holds no API key; `python -m service keys add OWNER --file {path}` adds one")


def add_key(path: Path, owner: str) -> str:
    """Write a new key of an owner into the file, which is made where it is missing.

    Returns:
        The token, which is kept nowhere.

    Raises:
        KeysUnusable: The owner's name is none, or the file is unusable as it is.
    """
    if not OWNER.fullmatch(owner):
        raise KeysUnusable(f"an owner is 1 to 64 letters, digits, dots, underscores, @ or hyphens, not {owner!r}")
    key_id, secret = secrets.token_hex(_KEY_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    with _locked(path):
        text = _text(path) if path.exists() else _HEADER
        if key_id.encode() in _parsed(path, text):
            raise KeysUnusable(f"the drawn key id {key_id} is taken; try again")
        separator = "" if text.endswith("\n") or not text else "\n"
        _replace(path, f"{text}{separator}{owner}:{key_id}:{digest}\n")
    return f"{_PREFIX.decode()}{key_id}_{secret}"


def remove_key(path: Path, key_id: str) -> Key:
    """Take a key out of the file; every worker refuses it within a second.

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


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise KeysUnusable(f"the API keys in {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeysUnusable(f"{path} is no text file") from error


def _content(line: str) -> str:
    """A line without its comment."""
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


def _stamp(path: Path) -> _Stamp | None:
    try:
        now = path.stat()
    except OSError:
        return None
    return _Stamp(now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino, now.st_mode)


def _warn_of_readers(path: Path, stamp: _Stamp | None) -> None:
    if stamp and stamp.mode & stat.S_IROTH:
        logger.warning("%s can be read by everyone on this machine; `chmod o= %s` mends it", path, path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One editor at a time. The folder carries the lock, since the file is replaced."""
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


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing of it, for its owner's eyes; a group that could read it before still can."""
    target = path.resolve()  # a link stays a link
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        if target.exists():
            _hand_over(target, draft)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _hand_over(target: Path, draft: Path) -> None:
    """Give a draft the owner and the permissions of what it replaces, but nothing to the rest of the world."""
    before, now = target.stat(), draft.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        os.chown(draft, before.st_uid, before.st_gid)
    draft.chmod(stat.S_IMODE(before.st_mode) & 0o770)
