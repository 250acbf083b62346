"""A link to the servers of a Redis cluster. The client library keeps the map of shards to servers and refreshes it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TryAgainError,
)

from service.stores.base import Unavailable
from service.stores.redis.link import (
    FAILURES,
    MAX_CONNECTIONS,
    TIMEOUT_SECONDS,
    Reply,
    address_of,
    checked,
    connection_options,
    exchange,
    unavailable,
)
from service.stores.redis.script import REBUILD_SHARD, Command
from service.stores.redis.shard import ALL_SHARDS, prefix_of

SPARE_CONNECTIONS = 8  # beyond those in use: one may be released a moment after its turn is over
MAX_ROUNDS = 20
ROUND_SECONDS = 0.05
_SLOTS = [key_slot(prefix_of(shard)) for shard in ALL_SHARDS]
_REDIRECTED = (MovedError, AskError, TryAgainError)
_ASKING = Command(0, [b"ASKING"])


class ClusterLink:
    """A cluster, reached through one of its servers.

    A command that a server has not executed because its shard is moving or has moved is sent again to the right server.

    Raises:
        ValueError: The URL cannot be parsed.
        Unavailable: The URL cannot be that of a cluster.
    """

    is_sharded = True

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        options = {**connection_options(), "max_connections": MAX_CONNECTIONS + SPARE_CONNECTIONS}
        try:
            self._cluster = RedisCluster.from_url(url, **options, socket_timeout=TIMEOUT_SECONDS)
        except (TypeError, RedisClusterException) as error:  # no host, or an option that only single servers have
            raise unavailable(self._address, error) from error
        self._seeds = dict(self._cluster.nodes_manager.startup_nodes)
        self._is_known, self._is_outdated = False, False  # the map of shards to servers
        self._refreshing = asyncio.Lock()
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = [None] * len(commands)
        todo: Sequence[int] = range(len(commands))
        for _ in range(MAX_ROUNDS):
            await self._run_some(commands, todo, replies)
            if not any(isinstance(replies[n], _REDIRECTED) for n in todo):
                return checked(self._address, replies)
            todo = await self._follow(commands, todo, replies)
        raise Unavailable(f"the session store on Redis at {self._address} cannot be used: its shards are moving")

    async def ask_all(self, *words: bytes) -> dict[str, Reply]:
        await self._refresh_map()
        nodes = self._cluster.get_primaries()
        replies = await asyncio.gather(*(self._exchange(node, [Command(0, words)]) for node in nodes))
        return {node.name: reply for node, (reply,) in zip(nodes, replies, strict=True)}

    async def close(self) -> None:
        for nodes in ("nodes_cache", "startup_nodes"):
            await self._cluster.nodes_manager.aclose(nodes)

    async def _run_some(self, commands: Sequence[Command], todo: Iterable[int], replies: list[Reply]) -> None:
        """Send some of the commands, each to the server that should have its shard."""
        await self._refresh_map()
        nodes = {n: self._node_of(commands[n].shard) for n in todo}
        by_name: defaultdict[str, list[int]] = defaultdict(list)
        for n, node in nodes.items():
            by_name[node.name].append(n)
        calls = [self._exchange(nodes[sent[0]], [commands[n] for n in sent]) for sent in by_name.values()]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for sent, answer in zip(by_name.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            for n, reply in zip(sent, answer, strict=True):
                replies[n] = reply

    async def _follow(self, commands: Sequence[Command], todo: Iterable[int], replies: list[Reply]) -> list[int]:
        """Follow redirections: ask the named server, or wait until the servers' shards are read again.

        Returns:
            The indexes of the commands that remain to be run.
        """
        for n in todo:
            reply = replies[n]
            # REBUILD_SHARD needs a whole shard, and half of a moving one is here. It waits for the move.
            if type(reply) is not AskError or commands[n].script is REBUILD_SHARD:
                continue
            if node := self._cluster.get_node(host=reply.host, port=reply.port):
                _, replies[n] = await self._exchange(node, [_ASKING, commands[n].with_source()])
        left = [n for n in todo if isinstance(replies[n], _REDIRECTED)]
        if left:
            self._is_outdated = True
            await asyncio.sleep(ROUND_SECONDS)
        return left

    async def _exchange(self, node: ClusterNode, commands: Sequence[Command]) -> list[Reply]:
        try:
            async with self._turns, _connection_to(node) as connection:
                replies = await exchange(connection, commands)
        except FAILURES as error:
            self._is_outdated = True
            raise unavailable(node.name, error) from error
        self._is_outdated |= any(isinstance(reply, (ClusterDownError, ReadOnlyError)) for reply in replies)
        return replies

    async def _refresh_map(self) -> None:
        """Ask the servers which of them has which shards, if that is not known or may have changed."""
        # Other callers continue with the known map meanwhile: the server asked first may hang, time and again.
        if self._is_known and (not self._is_outdated or self._refreshing.locked()):
            return
        async with self._refreshing:
            if self._is_known and not self._is_outdated:
                return
            self._is_outdated = False
            # The library replaces the URL's server with those that it finds. By now all may have new addresses.
            nodes = self._cluster.nodes_manager
            nodes.startup_nodes = {**self._seeds, **nodes.startup_nodes}
            try:
                await nodes.initialize()
            except BaseException as error:
                self._is_outdated = True
                if isinstance(error, FAILURES):
                    raise unavailable(self._address, _named(error)) from error
                raise
            self._is_known = True

    def _node_of(self, shard: int) -> ClusterNode:
        try:
            return self._cluster.nodes_manager.get_node_from_slot(_SLOTS[shard])
        except FAILURES as error:
            raise unavailable(self._address, error) from error


def _named(error: Exception) -> Exception:
    """Return an error that says why: the library takes each refusal of CLUSTER SLOTS for that of no cluster."""
    refusal = error.__cause__ and error.__cause__.__context__
    if isinstance(refusal, NoPermissionError):
        return NoPermissionError("the user may not ask for its shards (allow cluster|slots)")
    return RedisClusterException(f"{error} ({refusal})") if isinstance(refusal, ResponseError) else error


@asynccontextmanager
async def _connection_to(node: ClusterNode) -> AsyncIterator[AbstractConnection]:
    connection = node.acquire_connection()
    try:
        if connection.is_connected and await connection.can_read():
            await connection.disconnect(nowait=True)
        yield connection
    finally:
        if connection.should_reconnect():  # type: ignore[no-untyped-call]  # otherwise it is released only after its turn
            await connection.disconnect(nowait=True)
        node.release(connection)
