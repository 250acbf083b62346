"""Shards: each record shares one with its indexes, so that one script can change them together, even on a cluster.

    unrolled:{3f}:s:<id>   unrolled:{3f}:due   :use   :counts   :owners   :live

The part in braces alone decides which server of a cluster has a key.
"""

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
