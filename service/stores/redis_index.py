"""The indexes and counts of all shards, read as if they were one."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from service.stores.redis_connection import Connection
from service.stores.redis_script import READ_EACH, script_call
from service.stores.redis_shard import (
    ALL_SHARDS,
    COUNTS,
    DUE,
    NUM_SHARDS,
    OWNERS,
    USE,
    encoded,
    first,
    owner_prefix,
)

BYTES = b"bytes"


class Index:
    """Reads what service/stores/record.lua files.

    Args:
        connection: To where the shards are.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def due(self, last_minute: int, limit: int) -> list[str]:
        """Ids of records that are overdue in a minute, the longest first."""
        return await self._by_minute(DUE, b"%d" % last_minute, limit)

    async def used(self, limit: int) -> list[str]:
        """Ids of live records, the least recently used first."""
        return await self._by_minute(USE, b"+inf", limit)

    async def owned(self, owner: str, after: str, limit: int) -> list[str]:
        """An owner's ids that follow one."""
        try:
            prefix = owner_prefix(owner)
        except ValueError:
            return []
        begin, end = b"(" + prefix + encoded(after), b"(" + prefix + b"\xff"

        async def read(shards: Sequence[int], size: int) -> list[list[bytes]]:
            return await self._read(OWNERS, shards, [b"ZRANGE", begin, end, b"BYLEX", b"LIMIT", b"0", b"%d" % size])

        return [member[len(prefix) :].decode() for member in await first(read, limit)]

    async def counts(self) -> tuple[dict[str, int], int]:
        """Live records by bundle, and the bytes of all records' bodies."""
        counts: Counter[bytes] = Counter()
        for reply in await self._read(COUNTS, ALL_SHARDS, [b"HGETALL"]):
            counts.update({name: int(value) for name, value in pairs(reply)})
        num_bytes = counts.pop(BYTES, 0)
        return {name[1:].decode(): num_live for name, num_live in counts.items()}, num_bytes

    async def _by_minute(self, keys: Sequence[bytes], last: bytes, limit: int) -> list[str]:
        async def read(shards: Sequence[int], size: int) -> list[list[tuple[int, bytes]]]:
            words = [b"ZRANGE", b"-inf", last, b"BYSCORE", b"LIMIT", b"0", b"%d" % size, b"WITHSCORES"]
            replies = await self._read(keys, shards, words)
            return [[(int(minute), member) for member, minute in pairs(reply)] for reply in replies]

        return [member.decode() for _, member in await first(read, limit)]

    async def _read(self, keys: Sequence[bytes], shards: Sequence[int], words: list[bytes]) -> list[Any]:
        """What a reading command answers for a key of each of some shards."""
        groups = await self._connection.groups(shards, NUM_SHARDS)
        calls = [script_call(READ_EACH, shards[group[0]], [keys[shards[n]] for n in group], words) for group in groups]
        return [answer for reply in await self._connection.run(calls) for answer in reply]


def pairs(reply: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """Names and values that come in turn."""
    return zip(reply[::2], reply[1::2], strict=True)
