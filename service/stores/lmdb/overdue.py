"""Finds overdue records of an LMDB environment by index entries that may lag behind the records.

See `tables`: an entry's minute is never later than its record's, and is corrected when it has come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from lmdb import Cursor, Transaction

from service.stores.base import SECONDS_PER_MINUTE, Record, last_due_minute
from service.stores.lmdb.indexes import minute_key, minute_of, owner_key
from service.stores.lmdb.rows import expires_at_of, expiry_of, indexed_of, is_intact, key_of, with_entry_minute
from service.stores.lmdb.tables import Tables

SWEPT_ENTRIES = 128
MAX_JUMPS = 512  # entries of an owner to look at; a millisecond or two


class Entry(NamedTuple):
    """An entry of `by_expiry`."""

    minute: int
    key: bytes


class Sweep(NamedTuple):
    """The result of looking at some entries that are due.

    Attributes:
        overdue: Records that are overdue.
        stale: Entries of records that have been used since.
        last: The last entry looked at; None if there are no more.
    """

    overdue: list[Record]
    stale: list[Entry]
    last: Entry | None


def swept(tables: Tables, txn: Transaction[bytes], now: int, limit: int, after: Entry | None) -> Sweep:
    """Look at the next few entries that are due, beginning after `after`."""
    last_minute = last_due_minute(now)
    entries = list(islice(_entries(tables, txn, last_minute, after), SWEPT_ENTRIES))
    heads = tables.heads(txn, [entry.key for entry in entries])
    known = [entry for entry in entries if entry.key in heads and is_intact(entry.key, heads[entry.key])]
    stale = [entry for entry in known if expiry_of(heads[entry.key]) > last_minute]
    overdue = (entry.key for entry in known if expiry_of(heads[entry.key]) <= last_minute)
    last = entries[-1] if len(entries) == SWEPT_ENTRIES else None
    return Sweep(tables.first(txn, overdue, limit), stale, last)


def count_overdue(tables: Tables, txn: Transaction[bytes], now: int) -> int:
    """Count the live records that are overdue, by their heads."""
    num_overdue, last_minute = 0, last_due_minute(now)
    entries = _entries(tables, txn, last_minute, None)
    while keys := [entry.key for entry in islice(entries, SWEPT_ENTRIES)]:
        num_overdue += sum(
            is_intact(key, head) and indexed_of(head).bundle is not None and expiry_of(head) <= last_minute
            for key, head in tables.heads(txn, keys).items()
        )
    return num_overdue


def overdue_of(tables: Tables, txn: Transaction[bytes], owner: str | None, now: int, limit: int) -> list[Record]:
    """Return overdue live records of one owner, or of all.

    Looks at an owner's of this minute and the last, since sweeps handle earlier ones; of all, at the first entries.
    """
    minute = now // SECONDS_PER_MINUTE
    if owner is None:
        keys = [entry.key for entry in islice(_entries(tables, txn, minute, None), SWEPT_ENTRIES)]
    else:
        owned, due = txn.cursor(tables.by_owner), txn.cursor(tables.by_expiry)
        index_keys = minute_key(minute - 1), minute_key(minute)
        common = chain.from_iterable(_common(owned, owner_key(owner), due, each) for each in index_keys)
        keys = list(islice(common, MAX_JUMPS))
    known = ((key, head) for key, head in tables.heads(txn, keys).items() if is_intact(key, head))
    over = (key for key, head in known if indexed_of(head).bundle is not None and expires_at_of(head) <= now)
    return tables.first(txn, over, limit)


def delete_overdue(tables: Tables, txn: Transaction[bytes], session_ids: Sequence[str], now: int) -> None:
    """Delete those of these records that are over and overdue, except damaged ones."""
    heads = tables.heads(txn, [key_of(session_id) for session_id in session_ids])
    last_minute = last_due_minute(now)
    is_to_go = {
        key: is_intact(key, head) and indexed_of(head).bundle is None and expiry_of(head) <= last_minute
        for key, head in heads.items()
    }
    tables.delete(txn, [session_id for session_id in session_ids if is_to_go.get(key_of(session_id))])


def correct_entries(tables: Tables, txn: Transaction[bytes], entries: Sequence[Entry]) -> None:
    """Move the entries of records to the minute in which they are overdue."""
    heads = tables.heads(txn, [entry.key for entry in entries])
    writer = tables.index_writer(txn)
    for _, key in entries:
        if key in heads and is_intact(key, heads[key]):
            head = with_entry_minute(key, heads[key], expiry_of(heads[key]))
            txn.put(key, head, db=tables.records)
            writer.move(key, indexed_of(heads[key]), indexed_of(head))
    writer.close()


def _entries(tables: Tables, txn: Transaction[bytes], last_minute: int, after: Entry | None) -> Iterator[Entry]:
    cursor = txn.cursor(tables.by_expiry)
    if after is not None and not cursor.set_range_dup(minute_key(after.minute), after.key):
        cursor.set_range(minute_key(after.minute + 1))
    for index_key, key in cursor:
        entry = Entry(minute_of(index_key), key)
        if entry.minute > last_minute:
            return
        if entry != after:
            yield entry


def _common(one: Cursor[bytes], index_key: bytes, other: Cursor[bytes], other_index_key: bytes) -> Iterator[bytes]:
    """Yield records' keys that are under both, in order: the cursor behind jumps ahead, at most MAX_JUMPS times."""
    is_there = one.set_key(index_key)
    for _ in range(MAX_JUMPS):
        if not is_there or not other.set_range_dup(other_index_key, one.value()):
            return
        key = other.value()
        if key == one.value():
            yield key
            is_there = one.next_dup()
        else:
            is_there = one.set_range_dup(index_key, key)
