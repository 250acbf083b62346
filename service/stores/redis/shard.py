"""Shards: every record is of one, with its shard's indexes, so that one script may change them all on a cluster too.

    unrolled:{3f}:s:<id>   unrolled:{3f}:due   :use   :counts   :owners   :live

What is in braces alone decides on which server of a cluster a key is.
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
    """The bytes of anything that is asked for as an id."""
    return session_id.encode("utf-8", "surrogatepass")


def shard_of(session_id: bytes) -> int:
    """The shard of an id."""
    return crc32(session_id) % NUM_SHARDS


def shard_of_key(key: bytes) -> int:
    """The shard of a record's key."""
    return int(key[len(b"unrolled:{") :][:2], 16)


def prefix_of(shard: int) -> bytes:
    """What the keys of a shard's records begin with."""
    return _PREFIXES[shard]


def record_key(session_id: bytes) -> bytes:
    """The key of a record."""
    return _PREFIXES[shard_of(session_id)] + session_id


def index_keys(shard: int) -> tuple[bytes, ...]:
    """The keys of a shard's indexes and counts."""
    return _INDEXES[shard]


def owner_prefix(owner: str) -> bytes:
    """What an owner's entries in `owners` begin with, and no other owner's.

    Raises:
        ValueError: The owner is longer than any that can be packed.
    """
    content = owner.encode("utf-8", "surrogatepass")
    return bytes([len(content)]) + content


async def first(read: Callable[[Sequence[int], int], Awaitable[Iterable[list[Entry]]]], limit: int) -> list[Entry]:
    """The first entries of an index over all shards, in order.

    Of each shard a few are read, then more of those that may hide one.

    Args:
        read: Reads the first entries of each of some shards, no more than so many of each.
        limit: How many.
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
