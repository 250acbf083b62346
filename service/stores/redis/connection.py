"""A connection to the server or cluster at a store's URL, opened at the first use."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from redis.exceptions import NoPermissionError

from service.stores.base import Unavailable
from service.stores.redis.clock import ServerClock
from service.stores.redis.cluster import ClusterLink
from service.stores.redis.link import Link, Reply, ServerLink, address_of, pairs
from service.stores.redis.script import Command
from service.stores.redis.shard import NOTES_SHARD

MAX_RECORDS_A_COMMAND = 128
OLDEST_REDIS = 7


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
    server = ServerLink(url)
    try:
        is_cluster = await _is_cluster(server)
    except BaseException:
        await server.close()
        raise
    if not is_cluster:
        return server
    await server.close()
    return ClusterLink(url)


async def _is_cluster(server: ServerLink) -> bool:
    ((address, reply),) = (await server.ask_all(b"HELLO")).items()  # which every user may ask
    if not isinstance(reply, list):
        return False
    told = dict(pairs(reply))
    version = told.get(b"version", b"").decode()
    if version.partition(".")[0].isdecimal() and int(version.partition(".")[0]) < OLDEST_REDIS:
        raise Unavailable(f"Redis at {address} is of version {version}; sessions need {OLDEST_REDIS} or later")
    is_cluster = told.get(b"mode") == b"cluster"
    is_replica = told.get(b"role") == b"replica"
    if is_replica and not is_cluster:  # the servers of a cluster say where each shard can be written
        raise Unavailable(f"Redis at {address} is a replica, which cannot be written to: name its primary")
    return is_cluster
