"""Checks that an LMDB store is as it was written: its pages, each record, and what is derived from the records.

py-lmdb's own verifier reads the pages without handing them to LMDB, since a broken tree would crash the process.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lmdb import Transaction
from lmdb.verify import VerifyError, verify

from service.stores.base import Count, Damaged, Unavailable
from service.stores.lmdb.indexes import index_keys, is_owned, read_owners
from service.stores.lmdb.rows import KEY_BYTES, TAIL, indexed_of, is_intact, quarantined, to_record
from service.stores.lmdb.tables import Tables

logger = logging.getLogger(__name__)


class StoreDamaged(Unavailable):
    """The structure of the store's files is broken: nothing in it can be trusted.

    Attributes:
        reason: What is broken.
    """

    def __init__(self, directory: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the session store in {directory} is damaged ({reason}); move the directory away to start with an empty "
            "store, or restore a backup in its place"
        )


class Counted(NamedTuple):
    """A store's counts: totals, and live records by bundle and by owner."""

    totals: Count
    bundles: dict[str, int]
    owners: dict[str, int]


class _Row(NamedTuple):
    key: bytes
    head: bytes
    tail: bytes


def check_structure(directory: Path) -> None:
    """Check the pages of a store that no process has open.

    Raises:
        StoreDamaged: The store is incomplete or broken.
    """
    try:
        problems = verify(str(directory))  # type: ignore[no-untyped-call]
    except (VerifyError, OSError) as error:
        raise StoreDamaged(directory, str(error)) from error
    if problems:
        raise StoreDamaged(directory, f"{len(problems)} problems, the first: {problems[0]}")


def check_records(tables: Tables, txn: Transaction[bytes]) -> int:
    """Check every record, and rebuild indexes and counts if they do not match the records.

    Returns:
        The number of damaged records. Each stays in place, and its session is refused as damaged.
    """
    num_damaged = sum(isinstance(to_record(row.key, None, row.head, row.tail), Damaged) for row in _rows(tables, txn))
    if not is_derived_right(tables, txn):
        logger.warning("indexes and counts of the session store do not match its records; rebuilding them")
        rebuild(tables, txn)
    return num_damaged


def count_owners(tables: Tables, txn: Transaction[bytes]) -> None:
    """Rebuild indexes and counts if an older version wrote to the store without counting live records by owner."""
    if not is_owned(txn, tables.counts):
        logger.warning("sessions in the store are not counted by owner yet; rebuilding indexes and counts")
        rebuild(tables, txn)


def rebuild(tables: Tables, txn: Transaction[bytes]) -> None:
    """Rebuild indexes and counts from the records, and quarantine damaged heads."""
    for table in (tables.by_owner, tables.by_use, tables.by_expiry, tables.counts):
        txn.drop(table, delete=False)
    writer = tables.index_writer(txn)
    damaged: list[_Row] = []
    for row in _rows(tables, txn):
        if is_intact(row.key, row.head):
            writer.move(row.key, None, indexed_of(row.head))
        else:
            damaged.append(row)
    writer.close()
    for row in damaged:
        txn.put(row.key, quarantined(row.head), db=tables.records)


def count_records(tables: Tables, txn: Transaction[bytes]) -> Counted:
    """Count the records one by one."""
    bundles: Counter[str] = Counter()
    owners: Counter[str] = Counter()
    num_bytes = 0
    for row in _rows(tables, txn):
        if is_intact(row.key, row.head):
            indexed = indexed_of(row.head)
            num_bytes += indexed.num_bytes
            if indexed.bundle is not None and indexed.owner is not None:
                bundles[indexed.bundle.decode()] += 1
                owners[indexed.owner.decode()] += 1
    return Counted(Count(bundles.total(), num_bytes), dict(bundles), dict(owners))


def read_counts(tables: Tables, txn: Transaction[bytes]) -> Counted:
    """Read the stored counts."""
    return Counted(tables.count(txn), tables.bundles(txn), read_owners(txn, tables.counts))


def is_derived_right(tables: Tables, txn: Transaction[bytes]) -> bool:
    """Return whether the indexes have exactly the entries that the records should have, and the counts are right."""
    indexes = (tables.by_owner, tables.by_use, tables.by_expiry)
    cursors = [txn.cursor(index) for index in indexes]
    num_entries = [0] * len(indexes)
    for row in _rows(tables, txn):
        if not is_intact(row.key, row.head):
            continue
        for position, index_key in enumerate(index_keys(indexed_of(row.head))):
            if index_key is not None:
                num_entries[position] += 1
                if not cursors[position].set_key_dup(index_key, row.key):
                    return False
    found = [txn.stat(index)["entries"] for index in indexes]
    return found == num_entries and count_records(tables, txn) == read_counts(tables, txn)


def _rows(tables: Tables, txn: Transaction[bytes]) -> Iterator[_Row]:
    """Yield all records. A tail without its head is skipped."""
    head: tuple[bytes, bytes] | None = None
    for key, value in txn.cursor(tables.records):
        if len(key) == KEY_BYTES:
            if head is not None:
                yield _Row(*head, b"")
            head = key, value
        elif head is not None and key == head[0] + TAIL:
            yield _Row(*head, value)
            head = None
    if head is not None:
        yield _Row(*head, b"")
