"""Opens a store by its URL."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from service.process.xdg import state_directory
from service.settings import SessionSettings
from service.stores.base import Store
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from service.stores.memory import MemoryStore


class StoreUnknown(Exception):
    """The URL is not that of any backend."""


def open_store(settings: SessionSettings, shared: Path | None = None) -> Store:
    """Return the configured store. It opens files and connections at its first use.

    Args:
        settings: Which it is.
        shared: A directory of the service, by which its processes agree on the store's files.

    Raises:
        StoreUnknown: The URL's scheme names no backend, or the backend cannot use the URL.
    """
    scheme = _parts(settings.store).scheme
    limits = Limits(settings.max_sessions, settings.max_store_bytes, settings.max_sessions_per_owner)
    if scheme == "memory":
        return MemoryStore(limits)
    if scheme == "lmdb":
        return LmdbStore(lmdb_directory(settings.store), limits, settings.durability, shared=shared)
    if scheme in ("redis", "rediss"):
        from service.stores.redis.store import RedisStore

        try:
            return RedisStore(settings.store, limits)
        except ValueError as error:
            raise StoreUnknown(f"UNROLLED_STORE: {error}") from error
    raise StoreUnknown(
        f"UNROLLED_STORE={_shown(settings.store)!r}: no store of kind {scheme!r}; there are lmdb://, redis://, "
        "rediss:// and memory://"
    )


def lmdb_directory(url: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory that an lmdb:// URL names; without a path, one in the user's state directory.

    Raises:
        StoreUnknown: The URL names none.
    """
    parts = _parts(url)
    path = unquote(parts.path)
    is_relative = bool(path) and not path.startswith("/")
    if parts.scheme != "lmdb" or parts.netloc or parts.query or parts.fragment or is_relative or "\0" in path:
        raise StoreUnknown(
            f"UNROLLED_STORE={_shown(url)!r} names no directory: write lmdb:///absolute/path, or lmdb:// for the "
            "user's own"
        )
    return Path(path) if path.strip("/") else state_directory(environment) / "unrolled" / "sessions"


def _shown(url: str) -> str:
    """Return a URL without the parts that may hold a password."""
    parts = _parts(url)
    return f"{parts.scheme}://..." if "@" in parts.netloc or parts.query else url


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # its message may hold a password
        raise StoreUnknown("UNROLLED_STORE is not a URL") from None
