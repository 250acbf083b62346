"""The changes of one transaction to the indexes and counts of an LMDB environment, and their keys."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from service.stores.base import Count
from service.stores.lmdb.rows import Indexed

if TYPE_CHECKING:
    from lmdb import Transaction, _Database

_TOTALS_NAME = b"all"
_OWNED_NAME = b"owned"
_BUNDLE_PREFIX = b":"
_OWNER_PREFIX = b"="
_TOTALS = struct.Struct("<qq")
_LIVE = struct.Struct("<q")
_MINUTE_KEY = struct.Struct(">I")

IndexKeys = tuple[bytes | None, bytes | None, bytes | None]


class IndexWriter:
    """The changes of one transaction: indexes change at once, counts when the writer is closed.

    Args:
        txn: The transaction.
        indexes: The tables by owner, by use and by expiry.
        counts: The table of counts.
    """

    def __init__(self, txn: Transaction[bytes], indexes: tuple[_Database, ...], counts: _Database) -> None:
        self._txn = txn
        self._indexes = indexes
        self._counts = counts
        self._num_bytes = 0
        self._num_live = 0
        self._live: Counter[bytes] = Counter()

    def move(self, key: bytes, before: Indexed | None, after: Indexed | None) -> None:
        """Move a record's entries in the indexes and counts. None stands for no record."""
        for index, old, new in zip(self._indexes, index_keys(before), index_keys(after), strict=True):
            if old == new:
                continue
            if old is not None:
                self._txn.delete(old, key, db=index)
            if new is not None:
                self._txn.put(new, key, db=index)
        self._add(before, -1)
        self._add(after, 1)

    def close(self) -> None:
        """Write the counts."""
        if self._num_live or self._num_bytes:
            count = read_totals(self._txn, self._counts)
            sums = _TOTALS.pack(count.num_live + self._num_live, count.num_bytes + self._num_bytes)
            self._txn.put(_TOTALS_NAME, sums, db=self._counts)
        self._live[_OWNED_NAME] = self._num_live
        for name, change in self._live.items():
            if change:
                self._write(name, change)

    def _add(self, indexed: Indexed | None, sign: int) -> None:
        if indexed is None:
            return
        self._num_bytes += sign * indexed.num_bytes
        if indexed.bundle is not None and indexed.owner is not None:
            self._num_live += sign
            self._live[_BUNDLE_PREFIX + indexed.bundle] += sign
            self._live[_OWNER_PREFIX + indexed.owner] += sign

    def _write(self, name: bytes, change: int) -> None:
        now = _read_live(self._txn, self._counts, name) + change
        if now:
            self._txn.put(name, _LIVE.pack(now), db=self._counts)
        else:
            self._txn.delete(name, db=self._counts)


def read_totals(txn: Transaction[bytes], counts: _Database) -> Count:
    """Return the number of live records, and the bytes of all records."""
    content = txn.get(_TOTALS_NAME, db=counts)
    return Count(*_TOTALS.unpack(content)) if content else Count(0, 0)


def read_bundles(txn: Transaction[bytes], counts: _Database) -> dict[str, int]:
    """Return the number of live records by bundle."""
    return dict(_counted(txn, counts, _BUNDLE_PREFIX))


def read_owners(txn: Transaction[bytes], counts: _Database) -> dict[str, int]:
    """Return the number of live records by owner."""
    return dict(_counted(txn, counts, _OWNER_PREFIX))


def read_owner(txn: Transaction[bytes], counts: _Database, owner: str) -> int:
    """Return one owner's number of live records."""
    return _read_live(txn, counts, owner_key(owner))


def is_owned(txn: Transaction[bytes], counts: _Database) -> bool:
    """Return whether all live records are counted by owner. Older versions wrote no such counts."""
    return _read_live(txn, counts, _OWNED_NAME) == read_totals(txn, counts).num_live


def index_keys(indexed: Indexed | None) -> IndexKeys:
    """Return a record's keys in the indexes by owner, by use and by expiry."""
    if indexed is None:
        return None, None, None
    return (
        None if indexed.owner is None else _OWNER_PREFIX + indexed.owner,
        None if indexed.used is None else _MINUTE_KEY.pack(indexed.used),
        _MINUTE_KEY.pack(indexed.entry_minute),
    )


def owner_key(owner: str) -> bytes:
    """Return the key of an owner's records in `by_owner`."""
    return _OWNER_PREFIX + owner.encode()


def minute_key(minute: int) -> bytes:
    """Return the key of a minute's records in `by_use` or `by_expiry`."""
    return _MINUTE_KEY.pack(minute)


def minute_of(index_key: bytes) -> int:
    """Return the minute of a key in `by_use` or `by_expiry`."""
    minute: int = _MINUTE_KEY.unpack(index_key)[0]
    return minute


def _counted(txn: Transaction[bytes], counts: _Database, prefix: bytes) -> Iterator[tuple[str, int]]:
    cursor = txn.cursor(counts)
    cursor.set_range(prefix)
    for name, content in takewhile(lambda entry: entry[0].startswith(prefix), cursor):
        yield name[len(prefix) :].decode(), _LIVE.unpack(content)[0]


def _read_live(txn: Transaction[bytes], counts: _Database, name: bytes) -> int:
    content = txn.get(name, db=counts)
    return _LIVE.unpack(content)[0] if content else 0
