"""What an LMDB store holds, counted record by record."""

from pathlib import Path

from service.stores.limits import Limits
from service.stores.lmdb.check import Counted, count_records, read_counts
from service.stores.lmdb.environment import OpenedStore
from service.stores.lmdb.identity import Identity


def scanned(directory: Path) -> Counted:
    """Counts that a scan of a store finds, where its own are the same."""
    opened = OpenedStore(directory, 2**30, False, Limits(), Identity(directory))
    with opened.environment.begin() as txn:
        found = count_records(opened.tables, txn)
        assert found == read_counts(opened.tables, txn)
    opened.close()
    return found
