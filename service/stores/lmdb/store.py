"""Sessions in an LMDB environment on the machine's disk, shared by all worker processes of the machine.

Reads, and writes without a sync each, run on the calling thread: they take a fraction of a millisecond, less than a
thread switch. service.stores.lmdb.tables knows what the tables hold.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import lmdb
from lmdb import Transaction

from service.stores.base import Count, Damaged, Inspection, Record, Swap, SwapGroup
from service.stores.limits import Limits
from service.stores.lmdb.check import rebuild
from service.stores.lmdb.disk_room import check_room
from service.stores.lmdb.environment import OpenedStore, unavailable
from service.stores.lmdb.group import GroupCommit, Result, Work
from service.stores.lmdb.identity import Identity
from service.stores.lmdb.overdue import Entry, Sweep, correct_entries, delete_overdue, overdue_of, swept
from service.stores.lmdb.periodic_thread import PeriodicThread
from service.stores.lmdb.tables import Tables

Durability = Literal["process", "commit"]
MAP_BYTES = 2**40
SYNC_SECONDS = 5.0
MAX_NOTE_NAME_BYTES = 500


class LmdbStore:
    """An LMDB environment behind the store contract. Opened at its first use, and so after a fork.

    Args:
        path: Directory of the store; created if missing.
        limits: How much it may hold.
        durability: What an acknowledged write survives: "process" the death of every process; "commit" also a crash of
            the machine, at the cost of a sync to the disk, shared by all writes that wait for it.
        map_size: Bytes that the store may grow to; address space, not memory.
        shared: A directory of the service, by which its processes agree on the store's files; see `Identity`.
    """

    backend = "lmdb"

    def __init__(
        self,
        path: str | Path,
        limits: Limits,
        durability: Durability = "process",
        map_size: int = MAP_BYTES,
        shared: Path | None = None,
    ) -> None:
        self.clock: Callable[[], float] = time.time
        self._directory = Path(path)
        self._limits = limits
        self._is_synced = durability == "commit"
        self.is_immediate = not self._is_synced
        self._map_size = map_size
        self._identity = Identity(self._directory, shared)
        self._opened: OpenedStore | None = None
        self._opening = threading.Lock()
        self._periodic_sync = PeriodicThread(self._sync, SYNC_SECONDS)
        self._group = GroupCommit(partial(self._transact, write=True)) if self._is_synced else None

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        return self._transact(lambda tables, txn: tables.load(txn, session_ids))

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        return await self._write(lambda tables, txn: self._swap(tables, txn, swaps))

    async def advance(self, groups: Sequence[SwapGroup]) -> list[list[bool]]:
        return await self._write(lambda tables, txn: tables.advance(txn, groups))

    async def delete(self, session_ids: Sequence[str]) -> None:
        await self._write(lambda tables, txn: _delete(tables, txn, session_ids))

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        await self._write(lambda tables, txn: delete_overdue(tables, txn, session_ids, now))

    async def overdue(self, now: int, limit: int) -> list[Record]:
        found: list[Record] = []
        last: Entry | None = None
        while len(found) < limit:
            sweep = self._sweep(now, limit - len(found), last)
            found += sweep.overdue
            if sweep.stale:
                await self._correct_entries(sweep.stale)
            last = sweep.last
            if last is None:
                break
            await asyncio.sleep(0)  # let other tasks run
        return found

    async def overdue_of(self, owner: str | None, now: int, limit: int) -> list[Record]:
        return self._transact(lambda tables, txn: overdue_of(tables, txn, owner, now, limit))

    async def idlest(self, limit: int) -> list[Record]:
        return self._transact(lambda tables, txn: tables.idlest(txn, limit))

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        return self._transact(lambda tables, txn: tables.page(txn, owner, after, limit))

    async def count(self) -> Count:
        return self._transact(lambda tables, txn: tables.count(txn))

    async def count_of(self, owner: str) -> int:
        return self._transact(lambda tables, txn: tables.count_of(txn, owner))

    async def bundles(self) -> dict[str, int]:
        return self._transact(lambda tables, txn: tables.bundles(txn))

    async def note(self, name: str, value: bytes | None) -> None:
        key = _note_key(name)
        await self._write(lambda tables, txn: tables.note(txn, key, value))

    async def note_once(self, name: str, value: bytes) -> bytes:
        key = _note_key(name)
        kept = self._transact(lambda tables, txn: tables.note_of(txn, key))
        if kept is not None:
            return kept
        return await self._write(lambda tables, txn: tables.note_once(txn, key, value))

    async def notes(self, prefix: str) -> dict[str, bytes]:
        return self._transact(lambda tables, txn: tables.notes_of(txn, prefix.encode()))

    async def inspect(self) -> Inspection:
        return Inspection()  # what `durability` says is what it does

    @property
    def is_moved(self) -> bool:
        return self._identity.is_moved

    async def close(self) -> None:
        if self._group is not None:
            await self._group.close()
        await asyncio.to_thread(self._periodic_sync.stop)
        opened, self._opened = self._opened, None
        if opened is not None:
            try:
                opened.close()
            except (lmdb.Error, OSError) as error:
                raise unavailable(self._directory, error) from error

    def _swap(self, tables: Tables, txn: "Transaction[bytes]", swaps: Sequence[Swap]) -> list[bool]:
        return tables.swap(txn, swaps, lambda: check_room(self._directory, lambda: tables.num_free_bytes(txn)))

    def _sweep(self, now: int, limit: int, after: Entry | None) -> Sweep:
        return self._transact(lambda tables, txn: swept(tables, txn, now, limit, after))

    async def _correct_entries(self, entries: Sequence[Entry]) -> None:
        await self._write(lambda tables, txn: correct_entries(tables, txn, entries))

    async def _write(self, work: Work[Result]) -> Result:
        if self._group is None:
            return self._transact(work, write=True)
        return await self._group.run(work)

    def _transact(self, work: Work[Result], write: bool = False) -> Result:
        """Do some work in one transaction, which is aborted if the work raises."""
        try:
            opened = self._opened or self._open()
            self._identity.check()
            try:
                with opened.environment.begin(write=write) as txn:
                    return work(opened.tables, txn)
            except lmdb.MapResizedError:  # a process with a larger map has grown the store
                self._map_anew(opened)
                with opened.environment.begin(write=write) as txn:
                    return work(opened.tables, txn)
        except (lmdb.Error, OSError) as error:
            self._reopen_after(error)
            raise unavailable(self._directory, error) from error

    def _open(self) -> OpenedStore:
        with self._opening:
            if self._opened is None:
                self._opened = OpenedStore(
                    self._directory, self._map_size, self._is_synced, self._limits, self._identity
                )
                self._periodic_sync.start()
            return self._opened

    def _map_anew(self, opened: OpenedStore) -> None:
        """Map as much as the other process. Where there is no room for that, the next call opens a smaller map."""
        try:
            opened.environment.set_mapsize(0)
        except lmdb.MemoryError:
            opened.abandon()
            self._opened = None
            raise

    def _reopen_after(self, error: Exception) -> None:
        """Close an environment that LMDB refuses to use any more. The next call reopens it."""
        if isinstance(error, lmdb.PanicError) and self._opened is not None:
            self._opened.abandon()
            self._opened = None

    def _sync(self) -> None:
        """Sync to the disk, and free the slots of killed readers."""
        opened = self._opened
        if opened is not None:
            opened.environment.sync(True)
            opened.environment.reader_check()


def _delete(tables: Tables, txn: "Transaction[bytes]", session_ids: Sequence[str]) -> None:
    if not tables.delete(txn, session_ids):
        rebuild(tables, txn)
        tables.delete(txn, session_ids)


def _note_key(name: str) -> bytes:
    key = name.encode()
    if not 0 < len(key) <= MAX_NOTE_NAME_BYTES:
        raise ValueError(f"a note's name has {len(key)} bytes, not 1 to {MAX_NOTE_NAME_BYTES}")
    return key
