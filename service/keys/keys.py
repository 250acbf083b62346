"""The API keys that are valid now: their file, read again when it changes.

A lookup is fast enough for every request, so tokens are not kept in memory. Knows no HTTP: `service.api.auth` takes
tokens out of requests.
"""

import hashlib
import hmac
import logging
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from service.keys.key_file import PREFIX, Key, KeysUnread, KeysUnusable, copy_keys, read_copy, read_keys
from service.settings import KeySettings

logger = logging.getLogger(__name__)

ANONYMOUS = "anonymous"  # every caller's owner if there are no keys
CHECK_SECONDS = 1.0
COPY = "api-keys"
_NOBODY = Key("", "", secrets.token_bytes(hashlib.sha256().digest_size))  # no secret is known to have that digest


class _Stamp(NamedTuple):
    """Changes with the file's contents, and with permissions that may have made it unreadable.

    `changed_ns` also counts a link's change, so it grows with every new version of the file.
    """

    modified_ns: int
    changed_ns: int
    size: int
    inode: int
    mode: int


class Keys:
    """The keys that are valid now. The file is checked at most once a second, and accepted as a whole or not at all."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic, copy: Path | None = None) -> None:
        """Read the file.

        Args:
            path: The file.
            clock: Monotonic seconds.
            copy: Where the workers of a service keep what any of them has read last. It is what is valid while the file
                cannot be read as it is, also for a worker that starts then, or that has not looked for a while.

        Raises:
            KeysUnusable: Neither can be read as it is.
        """
        self._path = path
        self._clock = clock
        self._copy = copy
        self._stamp: _Stamp | None = None
        self._refused: _Stamp | None = None
        self._is_refused = False
        self._keys: dict[bytes, Key] = {}
        self._version = 0  # of these keys: when their file was changed, in nanoseconds since 1970
        self._next_check = clock() + CHECK_SECONDS
        stamp = _stamp(path)
        try:
            self._accept(read_keys(path), stamp)
        except KeysUnusable as error:
            if not self._take_copy():
                raise
            self._refuse(error, stamp)

    def find(self, token: bytes) -> Key | None:
        """Return the key that a token proves, or None. Takes as long for an unknown id as for a wrong secret."""
        self._check()
        if not token.startswith(PREFIX):
            return None
        key_id, _, secret = token[len(PREFIX) :].partition(b"_")
        key = self._keys.get(key_id, _NOBODY)
        return key if hmac.compare_digest(hashlib.sha256(secret).digest(), key.digest) else None

    def is_valid(self, key: Key) -> bool:
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
            if self._is_refused:
                self._take_copy()
            return
        try:
            keys = read_keys(self._path)
        except KeysUnusable as error:
            self._take_copy()
            self._refuse(error, stamp)
            return
        self._accept(keys, stamp)
        logger.info("read %d API keys from %s", len(keys), self._path)

    def _accept(self, keys: dict[bytes, Key], stamp: _Stamp | None) -> None:
        self._keys, self._version = keys, 0 if stamp is None else stamp.changed_ns
        self._stamp = stamp
        self._is_refused = False
        if self._copy is not None:
            copy_keys(keys.values(), self._copy, self._version)
        if not keys:
            logger.warning("%s holds no API key any more, so every caller is refused", self._path)
        _warn_of_readers(self._path, stamp)

    def _take_copy(self) -> bool:
        """Take the keys that any worker has read last, in which those of this one may be revoked, if they are there.

        An older copy, which a worker could not replace, may hold keys that are revoked here.
        """
        if self._copy is None:
            return False
        try:
            version, keys = read_copy(self._copy)
        except KeysUnusable:
            return False
        if version >= self._version:
            self._keys, self._version = keys, version
        return True

    def _refuse(self, error: KeysUnusable, stamp: _Stamp | None) -> None:
        if not self._is_refused or stamp != self._refused:  # one change, one line in the log
            logger.error("%s; the API keys that were read before stay valid", error)
        self._is_refused, self._refused = True, stamp
        # A file that was read stays unusable until it changes again.
        self._stamp = None if isinstance(error, KeysUnread) else stamp


def open_keys(settings: KeySettings, directory: Path | None) -> Keys | None:
    """Return the configured keys. None if there are none, and every caller is ANONYMOUS.

    Args:
        settings: Names their file.
        directory: Directory that the service's workers share, if there is one.

    Raises:
        KeysUnusable: The file cannot be read as it is.
    """
    if not settings.api_keys:
        return None
    return Keys(Path(settings.api_keys), copy=None if directory is None else directory / COPY)


def _stamp(path: Path) -> _Stamp | None:
    try:
        now, link = path.stat(), path.lstat()
    except OSError:
        return None
    return _Stamp(now.st_mtime_ns, max(now.st_ctime_ns, link.st_ctime_ns), now.st_size, now.st_ino, now.st_mode)


def _warn_of_readers(path: Path, stamp: _Stamp | None) -> None:
    if stamp and stamp.mode & stat.S_IROTH:
        logger.warning("%s can be read by everyone on this machine; run `chmod o= %s` to fix this", path, path)
