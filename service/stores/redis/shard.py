"""Shards: each record shares one with its indexes, so that one script can change them together, even on a cluster.

    unrolled:{3f}:s:<id>   unrolled:{3f}:due   :use   :counts   :owners   :live

The part in braces alone decides which server of a cluster has a key.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar
from zlib import crc32

NUM_SHARDS = 256
ALL_SHARDS = range(NUM_SHARDS)
NOTES = b"unrolled:{00}:notes"
NOTES_SHARD = 0
_PREFIXES = [b"unrolled:{%02x}:s:" % shard for shard in ALL_SHARDS]
DUE, USE, COUNTS, OWNERS, LIVE = (
    [b"unrolled:{%02x}:%b" % (shard, name) for shard in ALL_SHARDS]
    for name in (b"due", b"use", b"counts", b"owners", b"live")
)
_INDEXES = list(zip(DUE, USE, COUNTS, OWNERS, LIVE, strict=True))
Entry = TypeVar("Entry", bytes, tuple[int, bytes])


def encoded(session_id: str) -> bytes:
    """Return the bytes of any text that is requested as an id."""
    return session_id.encode("utf-8", "surrogatepass")


def shard_of(session_id: bytes) -> int:
    """Return the shard of an id."""
    return crc32(session_id) % NUM_SHARDS


def shard_of_key(key: bytes) -> int:
    """Return the shard of a record's key."""
    return int(key[len(b"unrolled:{") :][:2], 16)


def prefix_of(shard: int) -> bytes:
    """Return the prefix of a shard's record keys."""
    return _PREFIXES[shard]


def record_key(session_id: bytes) -> bytes:
    """Return the key of a record."""
    return _PREFIXES[shard_of(session_id)] + session_id


def index_keys(shard: int) -> tuple[bytes, ...]:
    """Return the keys of a shard's indexes and counts."""
    return _INDEXES[shard]


def owner_prefix(owner: str) -> bytes:
    """Return the prefix of an owner's entries in `owners`, which no other owner's entries have.

    Raises:
        ValueError: The owner is too long to be packed.
    """
    content = owner.encode("utf-8", "surrogatepass")
    return bytes([len(content)]) + content


async def first(read: Callable[[Sequence[int], int], Awaitable[Iterable[list[Entry]]]], limit: int) -> list[Entry]:
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
