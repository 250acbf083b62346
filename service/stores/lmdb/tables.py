"""The tables of an LMDB environment, and what one transaction does to them. Knows no thread, file or clock.

    records    key → head, key + "t" → tail                  service.stores.lmdb.rows
    by_owner   owner → keys, except of checkpoints           to list pages
    by_use     minute of the last use → keys of the live     to find the idlest
    by_expiry  minute, no later than due → keys              to find the overdue
    counts     live records and bytes; live by bundle, owner service.stores.lmdb.indexes
    notes      name → value

A step in the same minute as the last rewrites only a record's two rows, which are adjacent. A use postpones a record's
expiry, but leaves its entry in `by_expiry`: the entry moves only when its old minute has come, once per time to live
rather than at every use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, takewhile
from operator import itemgetter

from lmdb import Environment, Transaction

from service.stores.base import SECONDS_PER_MINUTE, Count, Damaged, Record, Swap, SwapGroup
from service.stores.limits import Limits
from service.stores.lmdb.indexes import (
    IndexWriter,
    owner_key,
    read_bundles,
    read_owner,
    read_totals,
)
from service.stores.lmdb.rows import (
    KEY_BYTES,
    TAIL,
    KeyedRows,
    Rows,
    entry_minute_of,
    has_same_entries,
    has_tail,
    indexed_of,
    is_intact,
    is_quarantined,
    key_of,
    next_rows,
    step_of,
    to_record,
    to_rows,
)

NUM_TABLES = 6
_META_PAGES = 2
MIN_GROUP = 4  # records; fewer are not worth handling as a group


class Tables:
    """The tables of an environment, created if missing.

    Args:
        environment: An open one, with room for NUM_TABLES.
        limits: How much they may hold.
    """

    def __init__(self, environment: Environment, limits: Limits) -> None:
        self._environment = environment
        self._limits = limits
        self.records = environment.open_db(b"records")
        self.by_owner = environment.open_db(b"by_owner", dupsort=True, dupfixed=True)
        self.by_use = environment.open_db(b"by_use", dupsort=True, dupfixed=True)
        self.by_expiry = environment.open_db(b"by_expiry", dupsort=True, dupfixed=True)
        self.counts = environment.open_db(b"counts")
        self.notes = environment.open_db(b"notes")

    def num_free_bytes(self, txn: Transaction[bytes]) -> int:
        """Return the bytes of the file's free pages. Call it before the transaction writes."""
        tables = (self.records, self.by_owner, self.by_use, self.by_expiry, self.counts, self.notes)
        top = self._environment.stat()
        num_used = sum(
            each["branch_pages"] + each["leaf_pages"] + each["overflow_pages"] for each in (top, *map(txn.stat, tables))
        )
        num_pages = self._environment.info()["last_pgno"] + 1
        return int((num_pages - _META_PAGES - num_used) * top["psize"])

    def index_writer(self, txn: Transaction[bytes]) -> IndexWriter:
        """Return what writes the transaction's changes to indexes and counts."""
        return IndexWriter(txn, (self.by_owner, self.by_use, self.by_expiry), self.counts)

    def load(self, txn: Transaction[bytes], session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        """Return the records of these ids, in order."""
        keys = [key_of(session_id) for session_id in session_ids]
        rows = self._rows(txn, keys)
        return [_found(rows, key, session_id) for key, session_id in zip(keys, session_ids, strict=True)]

    def swap(
        self, txn: Transaction[bytes], swaps: Sequence[Swap], check_disk: Callable[[], None] = lambda: None
    ) -> list[bool]:
        """Compare and swap each record, in order. All that may raise happens before anything is written.

        Args:
            txn: A write transaction.
            swaps: The records, each with the step that it expects.
            check_disk: Called before records are created or reopened. May raise to refuse them.

        Raises:
            QuotaReached: An owner would have more live records than allowed.
            Full: There is no room for the new live records.
            ValueError: A record cannot be packed.
        """
        stored = self.heads(txn, [key_of(swap.record.session_id) for swap in swaps])
        planned: dict[bytes, Rows] = {}
        won = [_plan(stored, planned, swap) for swap in swaps]
        opened = {key_of(swap.record.session_id) for swap in swaps if swap.is_opening}
        if new := [planned[key].head for key in planned if key not in stored or key in opened]:
            check_disk()
            self._check_limits(txn, new)
        self._write(txn, stored, planned)
        return won

    def advance(self, txn: Transaction[bytes], groups: Sequence[SwapGroup]) -> list[list[bool]]:
        """Compare and swap the records of groups, as `swap` does. No two groups share a session."""
        planned = [self._next_rows(txn, group) for group in groups]
        alone = [
            group.swap(index)
            for group, rows in zip(groups, planned, strict=True)
            for index, each in enumerate(rows)
            if each is None
        ]
        won_alone = iter(self.swap(txn, alone) if alone else [])  # first, since it may raise before it writes
        items: list[tuple[bytes, bytes | memoryview]] = []
        for key, head, tail in sorted([each for rows in planned for each in rows if each], key=itemgetter(0)):
            items.append((key, head))
            if tail:
                items.append((key + TAIL, tail))
        txn.cursor(self.records).putmulti(items)
        return [[each is not None or next(won_alone) for each in rows] for rows in planned]

    def delete(self, txn: Transaction[bytes], session_ids: Sequence[str]) -> bool:
        """Delete records. Return False, with nothing changed, if a damaged one is still in indexes and counts."""
        heads = self.heads(txn, [key_of(session_id) for session_id in session_ids])
        if any(not is_intact(key, head) and not is_quarantined(head) for key, head in heads.items()):
            return False
        writer = self.index_writer(txn)
        for key, head in heads.items():
            txn.delete(key, db=self.records)
            txn.delete(key + TAIL, db=self.records)
            if not is_quarantined(head):
                writer.move(key, indexed_of(head), None)
        writer.close()
        return True

    def idlest(self, txn: Transaction[bytes], limit: int) -> list[Record]:
        """Return live records, the least recently used first."""
        return self.first(txn, (key for _, key in txn.cursor(self.by_use)), limit)

    def page(self, txn: Transaction[bytes], owner: str, after: str, limit: int) -> list[Record]:
        """Return an owner's records that follow `after`."""
        cursor = txn.cursor(self.by_owner)
        last = key_of(after) if after else None
        if not cursor.set_range_dup(owner_key(owner), last or bytes(KEY_BYTES)):
            return []
        return self.first(txn, (key for key in cursor.iternext_dup() if key != last), limit)

    def count(self, txn: Transaction[bytes]) -> Count:
        """Return the number of live records and the bytes of all records."""
        return read_totals(txn, self.counts)

    def count_of(self, txn: Transaction[bytes], owner: str) -> int:
        """Return an owner's number of live records."""
        return read_owner(txn, self.counts, owner)

    def bundles(self, txn: Transaction[bytes]) -> dict[str, int]:
        """Return the number of live records by bundle."""
        return read_bundles(txn, self.counts)

    def note(self, txn: Transaction[bytes], name: bytes, value: bytes | None) -> None:
        """Store a note, or delete it if the value is None."""
        if value is None:
            txn.delete(name, db=self.notes)
        else:
            txn.put(name, value, db=self.notes)

    def note_of(self, txn: Transaction[bytes], name: bytes) -> bytes | None:
        """Return a note, or None if there is none."""
        return txn.get(name, db=self.notes)

    def note_once(self, txn: Transaction[bytes], name: bytes, value: bytes) -> bytes:
        """Store a note unless there is one, and return the stored one."""
        kept = self.note_of(txn, name)
        if kept is None:
            txn.put(name, value, db=self.notes)
        return value if kept is None else kept

    def notes_of(self, txn: Transaction[bytes], prefix: bytes) -> dict[str, bytes]:
        """Return notes whose names begin with a prefix, by name."""
        cursor = txn.cursor(self.notes)
        cursor.set_range(prefix)
        found = takewhile(lambda item: item[0].startswith(prefix), cursor)
        return {name.decode(): value for name, value in found}

    def heads(self, txn: Transaction[bytes], keys: list[bytes]) -> dict[bytes, bytes]:
        """Return the heads of those keys that exist."""
        return dict(txn.cursor(self.records).getmulti(keys))

    def first(self, txn: Transaction[bytes], keys: Iterator[bytes], limit: int) -> list[Record]:
        """Return the first records of these keys, skipping damaged ones."""
        taken: list[Record] = []
        while some := list(islice(keys, limit - len(taken))):
            rows = self._rows(txn, some)
            taken += [record for key in some if isinstance(record := _found(rows, key, None), Record)]
        return taken

    def _next_rows(self, txn: Transaction[bytes], group: SwapGroup) -> list[KeyedRows | None]:
        """Return the rows of a group's records, None for those that must be handled alone."""
        if len(group.steps) < MIN_GROUP:
            return [None] * len(group.steps)
        keys = [key_of(session_id) for session_id in group.session_ids]
        stored = self.heads(txn, keys)
        return next_rows(keys, [stored.get(key, b"") for key in keys], group)

    def _rows(self, txn: Transaction[bytes], keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return dict(txn.cursor(self.records).getmulti([row for key in keys for row in (key, key + TAIL)]))

    def _check_limits(self, txn: Transaction[bytes], heads: list[bytes]) -> None:
        live = [each for each in map(indexed_of, heads) if each.bundle is not None]
        if live:
            owners = [each.owner.decode() for each in live if each.owner is not None]
            num_bytes = sum(each.num_bytes for each in live)
            self._limits.check(owners, num_bytes, self.count(txn), partial(self.count_of, txn))

    def _write(self, txn: Transaction[bytes], stored: dict[bytes, bytes], planned: dict[bytes, Rows]) -> None:
        moved: list[bytes] = []
        items: list[tuple[bytes, bytes]] = []
        for key in sorted(planned):
            rows, before = planned[key], stored.get(key)
            if before is None or not has_same_entries(before, rows):
                moved.append(key)
            items.append((key, rows.head))
            if rows.tail:
                items.append((key + TAIL, rows.tail))
        txn.cursor(self.records).putmulti(items)
        if moved:
            self._move(txn, moved, stored, planned)

    def _move(
        self, txn: Transaction[bytes], moved: Sequence[bytes], stored: dict[bytes, bytes], planned: dict[bytes, Rows]
    ) -> None:
        """Move the index entries of records, and delete the tails that they no longer have."""
        writer = self.index_writer(txn)
        for key in moved:
            rows, before = planned[key], stored.get(key)
            writer.move(key, indexed_of(before) if before else None, indexed_of(rows.head))
            if before and has_tail(before) and not rows.tail:
                txn.delete(key + TAIL, db=self.records)
        writer.close()


def _found(rows: dict[bytes, bytes], key: bytes, session_id: str | None) -> Record | Damaged | None:
    head = rows.get(key)
    return None if head is None else to_record(key, session_id, head, rows.get(key + TAIL, b""))


def _plan(stored: dict[bytes, bytes], planned: dict[bytes, Rows], swap: Swap) -> bool:
    """Plan a swap if it wins against the record that is stored, or planned before it."""
    key = key_of(swap.record.session_id)
    before = planned[key].head if key in planned else stored.get(key)
    entry_minute = swap.record.expires_at // SECONDS_PER_MINUTE
    if before is not None:
        if not is_intact(key, before):
            return False
        entry_minute = min(entry_minute, entry_minute_of(before))
    if (None if before is None else step_of(before)) != swap.expected_step:
        return False
    planned[key] = to_rows(key, swap.record, entry_minute)
    return True
