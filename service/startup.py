"""What can be checked before anything starts, so that a service that cannot work says why and ends."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from service.bundle.errors import BundleError
from service.catalog import configured_bundles
from service.keys import KeysUnusable, check_keys
from service.runtime import ProviderMissing, available_providers
from service.settings import (
    CONSUMERS,
    BundleSettings,
    KeySettings,
    ServerSettings,
    SessionSettings,
    SettingUnknown,
    refuse_unknown_variables,
)
from service.stores.base import Unavailable
from service.stores.connect import StoreUnknown, open_store


class CannotStart(Exception):
    """The service cannot work as it is configured; the message says what to change."""


def check_settings() -> None:
    """Raise CannotStart where settings contradict one another, this installation, or common sense."""
    try:
        refuse_unknown_variables()
        for consumer in CONSUMERS:
            consumer()
        available_providers(BundleSettings().provider)
        open_store(SessionSettings())
    except (SettingUnknown, ValidationError, ProviderMissing, StoreUnknown) as error:
        raise CannotStart(str(error)) from error
    check_store(ServerSettings(), SessionSettings())
    check_callers(ServerSettings(), KeySettings())


def check_store(server: ServerSettings, sessions: SessionSettings) -> None:
    """Raise CannotStart where workers would not see one another's sessions."""
    if server.workers > 1 and sessions.store.startswith("memory:"):
        raise CannotStart(
            f"UNROLLED_STORE={sessions.store} is the memory of one process, but UNROLLED_WORKERS={server.workers}: "
            "take lmdb:// or redis://, or one worker"
        )


def check_callers(server: ServerSettings, keys: KeySettings) -> None:
    """Raise CannotStart where nobody could call, or where everybody could by accident."""
    if keys.api_keys:
        try:
            check_keys(Path(keys.api_keys))
        except KeysUnusable as error:
            raise CannotStart(f"UNROLLED_API_KEYS: {error}") from error
    elif not server.allow_unauthenticated and not _is_loopback(server.host):
        raise CannotStart(
            f"UNROLLED_HOST={server.host} is a public address and nothing asks callers who they are; "
            "name a file of API keys with UNROLLED_API_KEYS (`python -m service keys add OWNER --file PATH` makes it), "
            "or set UNROLLED_ALLOW_UNAUTHENTICATED=1 if that is meant"
        )


def check_bundles() -> None:
    """Raise CannotStart where a bundle that is to be served is missing or damaged."""
    try:
        configured_bundles(BundleSettings())
    except (BundleError, BentoMLException) as error:
        raise CannotStart(str(error)) from error


def check_ports() -> None:
    """Raise CannotStart where an address cannot be listened on."""
    server = ServerSettings()
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


def check_store_answers() -> None:
    """Raise CannotStart where the session store cannot be used."""
    try:
        asyncio.run(_reach_store())
    except Unavailable as error:
        raise CannotStart(f"UNROLLED_STORE: {error}") from error


async def _reach_store() -> None:
    store = open_store(SessionSettings())
    try:
        await store.count()
    finally:
        await store.close()


CHECKS: tuple[Callable[[], None], ...] = (check_settings, check_ports, check_store_answers, check_bundles)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
