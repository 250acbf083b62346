"""The way to the servers of a Redis cluster. Which of them has a shard, the client library knows and learns again."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError

from service.stores.base import Unavailable
from service.stores.redis_link import (
    FAILURES,
    Answered,
    Reply,
    address_of,
    checked,
    connection_options,
    exchange,
    unavailable,
)
from service.stores.redis_script import Command
from service.stores.redis_shard import ALL_SHARDS, prefix_of

MAX_ROUNDS = 8
ROUND_SECONDS = 0.05
_SLOTS = [key_slot(prefix_of(shard)) for shard in ALL_SHARDS]
_REDIRECTED = (MovedError, AskError, TryAgainError)
_ASKING = Command(0, [b"ASKING"])


class ClusterLink:
    """A cluster, by one of its servers.

    A command that a server has not done because its shard is moving or has moved is sent again, where it belongs.
    """

    is_sharded = True

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        self._cluster = RedisCluster.from_url(url, **connection_options())

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = [None] * len(commands)
        todo: Sequence[int] = range(len(commands))
        for _ in range(MAX_ROUNDS):
            await self._run_some(commands, todo, replies)
            todo = [n for n in todo if isinstance(replies[n], _REDIRECTED)]
            if not todo:
                return checked(self._address, replies)
            await self._follow(commands, todo, replies)
            todo = [n for n in todo if isinstance(replies[n], _REDIRECTED)]
        raise Unavailable(f"the session store on Redis at {self._address} cannot be used: its shards are moving")

    async def ask_all(self, *words: bytes) -> list[Answered]:
        await self._initialize()
        nodes = self._cluster.get_primaries()
        replies = await asyncio.gather(*(self._exchange(node, [Command(0, words)]) for node in nodes))
        return [Answered(node.name, reply) for node, (reply,) in zip(nodes, replies, strict=True)]

    async def close(self) -> None:
        await self._cluster.aclose()

    async def _run_some(self, commands: Sequence[Command], todo: Iterable[int], replies: list[Reply]) -> None:
        """Send some of the commands, each to the server that should have its shard."""
        await self._initialize()
        by_node: defaultdict[ClusterNode, list[int]] = defaultdict(list)
        for n in todo:
            by_node[self._node_of(commands[n].shard)].append(n)
        calls = [self._exchange(node, [commands[n] for n in sent]) for node, sent in by_node.items()]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for sent, answer in zip(by_node.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            for n, reply in zip(sent, answer, strict=True):
                replies[n] = reply

    async def _follow(self, commands: Sequence[Command], todo: Iterable[int], replies: list[Reply]) -> None:
        """Do what redirections ask for: look again where shards are, ask one server, or wait."""
        if any(isinstance(replies[n], MovedError) for n in todo):
            await self._look_again()
        for n in todo:
            reply = replies[n]
            if type(reply) is AskError and (node := self._cluster.get_node(host=reply.host, port=reply.port)):
                _, replies[n] = await self._exchange(node, [_ASKING, commands[n]])
        if any(isinstance(replies[n], TryAgainError) for n in todo):
            await asyncio.sleep(ROUND_SECONDS)

    async def _exchange(self, node: ClusterNode, commands: Sequence[Command]) -> list[Reply]:
        try:
            async with _connection_to(node) as connection:
                replies = await exchange(connection, commands)
        except FAILURES as error:
            await self._look_again()
            raise unavailable(node.name, error) from error
        if any(isinstance(reply, ClusterDownError) for reply in replies):
            await self._look_again()
        return replies

    async def _initialize(self) -> None:
        try:
            await self._cluster.initialize()
        except FAILURES as error:
            raise unavailable(self._address, error) from error

    async def _look_again(self) -> None:
        """Ask the servers which of them has which shards; if none knows, that stays as it was."""
        try:
            await self._cluster.nodes_manager.initialize()
        except FAILURES:
            return

    def _node_of(self, shard: int) -> ClusterNode:
        try:
            return self._cluster.nodes_manager.get_node_from_slot(_SLOTS[shard])
        except FAILURES as error:
            raise unavailable(self._address, error) from error


@asynccontextmanager
async def _connection_to(node: ClusterNode) -> AsyncIterator[AbstractConnection]:
    connection = node.acquire_connection()
    try:
        if connection.is_connected and await connection.can_read():
            await connection.disconnect(nowait=True)
        yield connection
    finally:
        node.release(connection)
