"""Checks before anything starts, so that a service that cannot work says why and ends."""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from service.bundle.errors import BundleError
from service.bundle.manifest import Bundle
from service.catalog import configured_bundles
from service.engine.runtime import ProviderMissing, available_providers
from service.keys.key_file import KeysUnusable, check_keys
from service.process.memory_limit import memory_limit, memory_shortage
from service.settings import (
    KeySettings,
    ServerSettings,
    SessionSettings,
    Settings,
    SettingUnknown,
    in_one_line,
    refuse_unknown_variables,
)
from service.stores.base import Count, Unavailable
from service.stores.connect import StoreUnknown, lmdb_directory, open_store
from service.stores.lmdb.disk_room import lack_of_room

logger = logging.getLogger(__name__)


class CannotStart(Exception):
    """The service cannot work as it is configured; the message says what to change."""


def checked_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        CannotStart: They contradict one another or this installation, or cannot work.
    """
    try:
        refuse_unknown_variables()
        settings = Settings()
        available_providers(settings.bundles.provider)
        open_store(settings.sessions)
        tempfile.gettempdir()
    except ValidationError as error:
        raise CannotStart(in_one_line(error)) from error
    except (SettingUnknown, ProviderMissing, StoreUnknown) as error:
        raise CannotStart(str(error)) from error
    except FileNotFoundError as error:
        raise CannotStart(f"nowhere to put temporary files: give the container --tmpfs /tmp ({error})") from error
    check_store(settings.server, settings.sessions)
    check_callers(settings.server, settings.keys)
    return settings


def check_store(server: ServerSettings, sessions: SessionSettings) -> None:
    """Raise CannotStart if workers would not see one another's sessions."""
    if server.workers > 1 and sessions.is_memory:
        raise CannotStart(
            f"UNROLLED_STORE={sessions.store} is the memory of one process, but UNROLLED_WORKERS={server.workers}: "
            "take lmdb:// or redis://, or one worker"
        )


def check_store_is_kept(sessions: SessionSettings) -> None:
    """Raise CannotStart if the session store would be lost with its container."""
    if not sessions.store_on_volume or not sessions.is_lmdb:
        return
    directory = lmdb_directory(sessions.store)
    if mount_point(directory) == Path("/"):
        raise CannotStart(
            f"no volume is mounted for the session store, so {directory} would be lost with the container: mount one "
            f"(--volume unrolled:{directory.parent}), or set UNROLLED_STORE_ON_VOLUME=0 if that is meant"
        )


def mount_point(directory: Path) -> Path:
    """Return the mount point of the file system that a directory is on, or would be on if it existed."""
    mounted = {partition.mountpoint for partition in psutil.disk_partitions(all=True)}
    resolved = directory.resolve()
    return next((each for each in (resolved, *resolved.parents) if str(each) in mounted), Path("/"))


def check_memory(settings: Settings, bundles: Iterable[Bundle]) -> None:
    """Raise CannotStart if a memory limit is less than workers with these bundles need."""
    num_bytes = sum(bundle.num_bytes for bundle in bundles)
    is_shared = _is_writable(settings.bundles.prepared_graphs_directory)
    num_processes, open_rungs = settings.server.num_processes, settings.engine.open_rungs
    if shortage := memory_shortage(memory_limit(), num_processes, num_bytes, open_rungs, is_shared):
        raise CannotStart(shortage)


def _is_writable(directory: Path | None) -> bool:
    """Whether files can be made in a directory, which is made if it is missing."""
    try:
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.access(directory, os.W_OK)
    except OSError:
        pass
    return False


def check_prepared_graphs(settings: Settings) -> None:
    """Raise CannotStart if the path that is set for prepared graphs cannot be a directory.

    A directory that cannot be written to is only a warning, at the first run.
    """
    directory = settings.bundles.prepared_graphs_directory
    if directory is None or not settings.bundles.prepared_graphs:
        return
    nearest = next(each for each in (directory, *directory.parents) if os.path.lexists(each))
    if not os.path.isdir(nearest):  # noqa: PTH112  Path.is_dir raises where it may not look
        raise CannotStart(f"UNROLLED_PREPARED_GRAPHS={directory} cannot be a directory: {nearest} is not one")


def check_callers(server: ServerSettings, keys: KeySettings) -> None:
    """Raise CannotStart if no caller would be let in, or if every caller would be by accident."""
    if keys.api_keys:
        try:
            check_keys(Path(keys.api_keys))
        except KeysUnusable as error:
            raise CannotStart(f"UNROLLED_API_KEYS: {error}") from error
    elif not server.allow_unauthenticated and not server.is_loopback:
        raise CannotStart(
            f"UNROLLED_HOST={server.host} is a public address and nothing asks callers who they are; "
            "name a file of API keys with UNROLLED_API_KEYS (`python -m service keys add OWNER --file PATH` makes it), "
            "or set UNROLLED_ALLOW_UNAUTHENTICATED=local where it is published on this machine alone, "
            "=1 where everybody on its network may call"
        )


def check_bundles(settings: Settings) -> None:
    """Raise CannotStart if a bundle to be served is missing or damaged, or does not fit into memory."""
    try:
        bundles = configured_bundles(settings.bundles)
    except (BundleError, BentoMLException) as error:
        raise CannotStart(str(error)) from error
    except OSError as error:
        raise CannotStart(
            f"a bundle cannot be read, or cannot be imported into the BentoML model store: {_reason(error)}"
        ) from error
    check_memory(settings, bundles)


def _reason(error: OSError) -> str:
    """Say why something failed in one line. Where a directory is copied, shutil lists every file that failed."""
    match error:
        case shutil.Error(args=([(_, _, reason), *_],)):
            return str(reason)
    return str(error)


def check_ports(settings: Settings) -> None:
    """Raise CannotStart if an address cannot be listened on."""
    server = settings.server
    for port in filter(None, (server.port, server.fast_port)):
        try:
            _try_to_listen(server.host, port)
        except OSError as error:
            raise CannotStart(f"port {port} on {server.host} cannot be used: {error.strerror}") from error


def _try_to_listen(host: str, port: int) -> None:
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)


def check_store_answers(settings: Settings) -> None:
    """Raise CannotStart if the session store cannot be used or would not be kept. Warn if it holds too much."""
    sessions = settings.sessions
    check_store_is_kept(sessions)
    try:
        count = asyncio.run(_count(sessions))
    except Unavailable as error:
        user = f"; user {os.geteuid()} needs to write there" if isinstance(error.__cause__, PermissionError) else ""
        raise CannotStart(f"UNROLLED_STORE: {error}{user}") from error
    if count.num_live > sessions.max_sessions or count.num_bytes > sessions.max_store_bytes:
        logger.warning(
            "the session store holds %d sessions and %d bytes, expired ones included, UNROLLED_MAX_SESSIONS=%d, "
            "UNROLLED_MAX_STORE_BYTES=%d: sessions beyond that expire or are evicted as new ones are opened; until "
            "then new ones may be refused",
            *count,
            sessions.max_sessions,
            sessions.max_store_bytes,
        )


def warn_of_little_room(settings: Settings) -> None:
    """Warn that the disk would be full before the store, if the store's limit was set.

    It is not checked for the default limit, which is more than half of many a laptop's disk.
    """
    sessions = settings.sessions
    if not sessions.is_lmdb or "max_store_bytes" not in sessions.model_fields_set:
        return
    if lack := lack_of_room(lmdb_directory(sessions.store), sessions.max_store_bytes):
        logger.warning("%s", lack)


def warn_of_no_quota(settings: Settings) -> None:
    """Warn that owners with keys of their own may evict one another's sessions."""
    sessions = settings.sessions
    if settings.keys.api_keys and not sessions.max_sessions_per_owner:
        logger.warning(
            "UNROLLED_MAX_SESSIONS_PER_OWNER=0: one owner may open so many sessions that those of all others are "
            "evicted (UNROLLED_MAX_SESSIONS=%d); set it to limit the sessions of each owner",
            sessions.max_sessions,
        )


async def _count(sessions: SessionSettings) -> Count:
    store = open_store(sessions)
    try:
        return await store.count()
    finally:
        await store.close()


CHECKS: tuple[Callable[[Settings], None], ...] = (
    check_ports,
    check_prepared_graphs,
    check_store_answers,
    warn_of_little_room,
    warn_of_no_quota,
    check_bundles,
)
