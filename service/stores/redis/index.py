"""The indexes and counts of all shards, read as one."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from service.stores.redis.connection import Connection
from service.stores.redis.link import pairs
from service.stores.redis.script import DUE_OF, IS_OWNED, READ_EACH, REBUILD_SHARD, Script, script_call
from service.stores.redis.shard import (
    ALL_SHARDS,
    COUNTS,
    DUE,
    LIVE,
    NUM_SHARDS,
    OWNERS,
    USE,
    encoded,
    index_keys,
    owner_prefix,
    prefix_of,
)

Entry = TypeVar("Entry", bytes, tuple[int, bytes])

BYTES = b"bytes"
FEW_OWNED = 4  # records of an owner to look at in each shard


class Index:
    """Reads the indexes that record.lua writes, and can have them rebuilt.

    Args:
        connection: Connects to the shards.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def due(self, last_minute: int, limit: int) -> list[str]:
        """Return ids of records that are overdue in a minute, the longest overdue first."""
        return await self._by_minute(DUE, b"%d" % last_minute, limit)

    async def used(self, limit: int) -> list[str]:
        """Return ids of live records, the least recently used first."""
        return await self._by_minute(USE, b"+inf", limit)

    async def owned(self, owner: str, after: str, limit: int) -> list[str]:
        """Return an owner's ids that follow `after`."""
        try:
            prefix = owner_prefix(owner)
        except ValueError:
            return []
        begin, end = b"(" + prefix + encoded(after), b"(" + prefix + b"\xff"

        async def read(shards: Sequence[int], size: int) -> list[list[bytes]]:
            return await self._read(OWNERS, shards, [b"ZRANGE", begin, end, b"BYLEX", b"LIMIT", b"0", b"%d" % size])

        return [member[len(prefix) :].decode() for member in await first_entries(read, limit)]

    async def due_of(self, owner: str, minute: int, limit: int) -> list[str]:
        """Return ids of an owner's records due in a minute or before, among its first few in each shard."""
        try:
            prefix = owner_prefix(owner)
        except ValueError:
            return []
        words = [b"[" + prefix, b"(" + prefix + b"\xff", b"%d" % FEW_OWNED, b"%d" % len(prefix), b"%d" % minute]
        found = await self._answers(DUE_OF, [OWNERS, DUE], ALL_SHARDS, words)
        return [session_id.decode() for session_id in found[:limit]]

    async def counts(self) -> tuple[dict[str, int], int]:
        """Return the number of live records by bundle, and the bytes in all records' bodies."""
        counts: Counter[bytes] = Counter()
        for reply in await self._read(COUNTS, ALL_SHARDS, [b"HGETALL"]):
            counts.update({name: int(value) for name, value in pairs(reply)})
        num_bytes = counts.pop(BYTES, 0)
        return {name[1:].decode(): num_live for name, num_live in counts.items()}, num_bytes

    async def live_of(self, owner: str) -> int:
        """Return an owner's number of live records, as stored in the counts."""
        return sum(map(int, filter(None, await self._read(LIVE, ALL_SHARDS, [b"HGET", b"=" + encoded(owner)]))))

    async def not_owned(self) -> list[int]:
        """Return shards with live records not counted by owner, because a version without these counts wrote them."""
        replies = await self._answers(IS_OWNED, [COUNTS, LIVE], ALL_SHARDS, [])
        return [shard for shard, is_owned in zip(ALL_SHARDS, replies, strict=True) if not is_owned]

    async def rebuild(self, shards: Iterable[int]) -> None:
        """Rebuild the indexes of some shards: an index had an entry without a record, or lacked one.

        Each takes long, so each is a command of its own and other clients get their turn in between.
        """
        for shard in shards:
            await self._connection.run([script_call(REBUILD_SHARD, shard, index_keys(shard), [prefix_of(shard)])])

    async def _by_minute(self, keys: Sequence[bytes], last: bytes, limit: int) -> list[str]:
        async def read(shards: Sequence[int], size: int) -> list[list[tuple[int, bytes]]]:
            words = [b"ZRANGE", b"-inf", last, b"BYSCORE", b"LIMIT", b"0", b"%d" % size, b"WITHSCORES"]
            replies = await self._read(keys, shards, words)
            return [[(int(minute), member) for member, minute in pairs(reply)] for reply in replies]

        return [member.decode() for _, member in await first_entries(read, limit)]

    async def _read(self, keys: Sequence[bytes], shards: Sequence[int], words: list[bytes]) -> list[Any]:
        """Return a reading command's replies for one key of each of these shards."""
        return await self._answers(READ_EACH, [keys], shards, words)

    async def _answers(
        self, script: Script, keys: Sequence[Sequence[bytes]], shards: Sequence[int], words: list[bytes]
    ) -> list[Any]:
        """Return a reading script's replies for some keys of each of these shards."""
        groups = await self._connection.groups(shards, NUM_SHARDS)
        calls = [
            script_call(script, shards[group[0]], [each[shards[n]] for n in group for each in keys], words)
            for group in groups
        ]
        return [answer for reply in await self._connection.run(calls) for answer in reply]


async def first_entries(
    read: Callable[[Sequence[int], int], Awaitable[Iterable[list[Entry]]]], limit: int
) -> list[Entry]:
    """Return the first entries of an index over all shards, in order.

    Reads a few entries of each shard, then more of the shards that may have further ones among the first.

    Args:
        read: Reads the first entries of each of these shards, at most the given number of each.
        limit: The largest number to return.
    """
    found: dict[int, list[Entry]] = {}
    size = 2 * limit // NUM_SHARDS + 4
    shards: Sequence[int] = ALL_SHARDS
    merged: list[Entry] = []
    while shards and limit > 0:
        found.update(zip(shards, await read(shards, size), strict=True))
        merged = sorted(chain.from_iterable(found.values()))[:limit]
        shards = [
            shard
            for shard in shards
            if len(found[shard]) == size and (len(merged) < limit or found[shard][-1] < merged[-1])
        ]
        size *= 4
    return merged
