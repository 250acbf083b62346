"""A connection to the server or cluster at a store's URL, opened at the first use."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from service.stores.base import Unavailable
from service.stores.redis.clock import ServerClock
from service.stores.redis.cluster import ClusterLink
from service.stores.redis.inspection import Info, is_replica, parse_info
from service.stores.redis.link import Link, Reply, ServerLink, address_of, pairs
from service.stores.redis.script import Command
from service.stores.redis.shard import NOTES_SHARD

MAX_RECORDS_A_COMMAND = 128
OLDEST_REDIS = 7
_CUT_OFF = ("closed by server", "while reading from", "while writing to")  # what the library says of a connection
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


class Connection:
    """A connection to a server or a cluster.

    Args:
        url: Leads to it.
        clock: Set to the server's time: once it is connected, and by `set_clock`.

    Raises:
        ValueError: The URL cannot be parsed.
    """

    def __init__(self, url: str, clock: ServerClock) -> None:
        self._url = url
        self._clock = clock
        address_of(url)
        self._link: Link | None = None
        self._opening = asyncio.Lock()

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands and return the replies, in order. Raises Unavailable."""
        return await (await self._linked()).run(commands) if commands else []

    async def groups(self, shards: Sequence[int], most: int = MAX_RECORDS_A_COMMAND) -> list[list[int]]:
        """Group positions of shards by what one command may cover: at most `most`, since other clients wait for it."""
        is_sharded = (await self._linked()).is_sharded
        by_server: defaultdict[int, list[int]] = defaultdict(list)
        for n, shard in enumerate(shards):
            by_server[shard if is_sharded else 0].append(n)
        return [group[at : at + most] for group in by_server.values() for at in range(0, len(group), most)]

    async def ask_all(self, *words: bytes) -> dict[str, Reply]:
        """Ask each server, and return the replies by address; a refusal is a ResponseError. Raises Unavailable."""
        return await (await self._linked()).ask_all(*words)

    async def set_clock(self) -> None:
        """Set the clock right. In a cluster it goes by one server, the same for all. Raises Unavailable."""
        await _set_clock(await self._linked(), self._clock)

    async def close(self) -> None:
        """Close the connections."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _linked(self) -> Link:
        if self._link is None:
            async with self._opening:
                if self._link is None:
                    self._link = await _open_link(self._url, self._clock)
        return self._link


async def _open_link(url: str, clock: ServerClock) -> Link:
    """Connect to a server or a cluster, and set the clock by it."""
    link = await _connect(url)
    try:
        await _set_clock(link, clock)
    except BaseException:
        await link.close()
        raise
    return link


async def _set_clock(link: Link, clock: ServerClock) -> None:
    asked_at = clock.uptime()
    try:
        ((seconds, microseconds),) = await link.run([Command(NOTES_SHARD, [b"TIME"])])
    except Unavailable as error:
        if not _is_not_offered(error.__cause__):  # an inspection tells of it
            raise
    else:
        clock.set(int(seconds) + int(microseconds) / 1e6, asked_at)


def _is_not_offered(error: BaseException | None) -> bool:
    """Whether a command is not allowed, or was renamed."""
    return isinstance(error, NoPermissionError) or "unknown command" in str(error)


async def _connect(url: str) -> Link:
    """Connect to a server, and to its cluster if it belongs to one."""
    _check_files(url)
    server = ServerLink(url)
    try:
        is_cluster = await _is_cluster(server)
    except Unavailable as error:
        await server.close()
        raise Unavailable(f"{error}{_hint(url, error.__cause__)}") from error.__cause__
    except BaseException:
        await server.close()
        raise
    if not is_cluster:
        return server
    await server.close()
    return ClusterLink(url)


def _check_files(url: str) -> None:
    """Raise Unavailable if a file of certificates or keys cannot be read; the library would not say which."""
    options: dict[str, Any] = {**parse_url(url)}
    for name in _FILES:
        if name in options and not os.access(options[name], os.R_OK):
            raise Unavailable(f"the session store on Redis cannot be used: {name}={options[name]} cannot be read")


def _hint(url: str, error: BaseException | None) -> str:
    """Return what may be wrong with the URL of a server that could not be asked, or "" if that is not known."""
    parts = urlsplit(url)
    if isinstance(error, AuthenticationError) and "%" in parts.netloc:
        return "; if a % in the user name or the password is meant literally, write it as %25"
    is_cut_off = type(error) is RedisConnectionError and any(words in str(error) for words in _CUT_OFF)
    if not is_cut_off or parts.scheme != "redis":
        return ""
    return "; if it speaks TLS, write rediss://, and if not, it may have too many clients (maxclients)"


async def _is_cluster(server: ServerLink) -> bool:
    ((address, reply),) = (await server.ask_all(b"HELLO")).items()  # which every user may ask
    about = _parse_hello(reply)
    if about is None:  # it was renamed, or a proxy does not know it
        ((address, reply),) = (await server.ask_all(b"INFO", b"everything")).items()
        about = parse_info(reply)
    if about is None:
        return False
    version = about.get("redis_version", "")
    if version.partition(".")[0].isdecimal() and int(version.partition(".")[0]) < OLDEST_REDIS:
        raise Unavailable(f"Redis at {address} is of version {version}; sessions need {OLDEST_REDIS} or later")
    is_cluster = about.get("cluster_enabled") == "1"
    if is_replica(about) and not is_cluster:  # the servers of a cluster say where each shard can be written
        raise Unavailable(f"Redis at {address} is a replica, which cannot be written to: name its primary")
    return is_cluster


def _parse_hello(reply: Reply) -> Info | None:
    """Return what a server replies to HELLO in the words of INFO, or None if that is not a list of pairs."""
    if not isinstance(reply, list) or len(reply) % 2:
        return None
    told = [(name, value) for name, value in pairs(reply) if isinstance(name, bytes) and isinstance(value, bytes)]
    hello = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in told}
    if not {"version", "mode", "role"} <= hello.keys():
        return None
    return {
        "redis_version": hello["version"],
        "cluster_enabled": "1" if hello["mode"] == "cluster" else "0",
        "role": "slave" if hello["role"] == "replica" else hello["role"],
    }
