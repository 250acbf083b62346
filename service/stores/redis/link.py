"""A link to a Redis server: commands are sent together and their replies read together.

    store ─► Link.run ─► ServerLink, ClusterLink ─► exchange ─► server

No command is sent twice unless the server has said that it did not execute it: a swap whose reply is lost may have been
written, and would then be reported as lost to another writer. Connections that a server has closed are noticed before
they are used.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.stores.base import Unavailable
from service.stores.redis.script import Command

Reply = Any
"""A server's reply: bytes, a number, None, a list of these, or a ResponseError."""

TIMEOUT_SECONDS = 2.0
MAX_CONNECTIONS = 64
# What a URL may set, in its parts and as options, besides options that begin with "ssl_".
_OPTIONS = frozenset({"host", "port", "path", "db", "username", "password", "client_name", "connection_class"})
FAILURES = (RedisError, RedisClusterException, OSError)
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (BusyLoadingError, "it is loading its data"),
    (OutOfMemoryError, "its memory is full (maxmemory)"),
    (ReadOnlyError, "it is a replica, which cannot be written to"),
    (ClusterDownError, "the cluster is down"),
    (RedisTimeoutError, "it does not answer"),
    (TimeoutError, "it does not answer"),
)
_REASONS_BY_START = (
    ("MISCONF", "it cannot write to its disk"),
    ("HELLO must be called", "it asks for a password"),
    ("Authentication required", "it asks for a password"),
)


class Link(Protocol):
    """A link to one server or a cluster of them."""

    @property
    def is_sharded(self) -> bool:
        """Whether shards are on different servers, so that a command may only have keys of one shard."""

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands and return the replies, in order.

        Raises:
            Unavailable: A server does not reply, or refuses a command.
        """

    async def ask_all(self, *words: bytes) -> dict[str, Reply]:
        """Ask each server that takes writes, and return the replies by address; a refusal is a ResponseError."""

    async def close(self) -> None:
        """Close the connections."""


class ServerLink:
    """One server.

    Raises:
        ValueError: The URL cannot be parsed.
    """

    is_sharded = False

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        self._pool = BlockingConnectionPool.from_url(url, timeout=None, **connection_options(), socket_timeout=None)

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        return checked(self._address, await self._exchange(commands))

    async def ask_all(self, *words: bytes) -> dict[str, Reply]:
        (reply,) = await self._exchange([Command(0, words)])
        return {self._address: reply}

    async def close(self) -> None:
        await self._pool.aclose()

    async def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
                try:
                    replies = await exchange(connection, commands)
                    if any(isinstance(reply, ReadOnlyError) for reply in replies):
                        await self._drop_connections()
                    return replies
                finally:
                    await asyncio.shield(self._pool.release(connection))
        except FAILURES as error:
            raise unavailable(self._address, error) from error

    async def _drop_connections(self) -> None:
        """Drop all connections to a server that has become a replica: its name may now resolve to another server."""
        await self._pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
        await self._pool.disconnect(inuse_connections=False)


def connection_options() -> dict[str, Any]:
    """Return the options of all connections."""
    return {
        "max_connections": MAX_CONNECTIONS,
        "protocol": 2,
        "driver_info": None,  # or else it sends CLIENT SETINFO, which a user with the documented rights may not
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": TIMEOUT_SECONDS,
    }


def address_of(url: str) -> str:
    """Return host and port of a URL, which are safe to show.

    Raises:
        ValueError: The URL cannot be parsed. The message leaves it out, since it may hold a password.
    """
    try:
        _check_authority(url)
        options = parse_url(url)
        if unknown := sorted(name for name in options if name not in _OPTIONS and not name.startswith("ssl_")):
            raise ValueError(f"there is no option {unknown[0]!r}")
        path = urlsplit(url).path.strip("/")
        if path and not path.isdecimal():  # the library would take database 0
            raise ValueError("the database is not a number")
        BlockingConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError) as error:
        raise ValueError(f"the URL of the Redis server is not valid: {error}") from None
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _check_authority(url: str) -> None:
    """Raise ValueError if no host and port can be read, without quoting them: they may be the beginning of a password.

    A password such as 12#3 would be taken for a port, and end with an @ that follows it.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
        if "@" not in parts.path + parts.query + parts.fragment:
            return
    raise ValueError(
        "it is not of the form redis://user:password@host:port/db, with one host and a port up to 65535; in a user "
        "name or a password, write #, /, ?, @ and % as %23, %2F, %3F, %40 and %25, and in an option, @ as %40"
    )


def pairs(reply: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """Pair up names and values that alternate in a reply."""
    return zip(reply[::2], reply[1::2], strict=True)


async def exchange(connection: AbstractConnection, commands: Sequence[Command]) -> list[Reply]:
    """Send commands to a server and return the replies, refusals as ResponseErrors."""
    replies = await _exchange(connection, [command.packed() for command in commands])
    forgotten = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if forgotten:
        again = await _exchange(connection, [commands[n].with_source().packed() for n in forgotten])
        for n, reply in zip(forgotten, again, strict=True):
            replies[n] = reply
    return replies


def checked(address: str, replies: list[Reply]) -> list[Reply]:
    """Return replies if none is a refusal.

    Raises:
        Unavailable: One is a refusal.
    """
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise unavailable(address, reply) from reply
    return replies


def unavailable(address: str, error: Exception) -> Unavailable:
    """Return the store's error for a failure of the connection or the server."""
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), None)
    if reason is None:
        reason = next((reason for start, reason in _REASONS_BY_START if str(error).startswith(start)), None)
    return Unavailable(f"the session store on Redis at {address} cannot be used: {reason or error}")


async def _exchange(connection: AbstractConnection, packed: Sequence[bytes]) -> list[Reply]:
    await connection.send_packed_command(packed, check_health=False)
    return [await _reply(connection) for _ in packed]


async def _reply(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refusal:
        return refusal
