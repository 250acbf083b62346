"""What an LMDB store does with killed processes, damaged bytes, full disks and maps."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import Mock

import lmdb
import numpy as np
import pytest

from service.record.ids import new_session_id
from service.stores.base import CHECKPOINT, Count, Damaged, Record, Store, Swap, SwapGroup, Unavailable
from service.stores.limits import Limits
from service.stores.lmdb import store as lmdb_store
from service.stores.lmdb import tables
from service.stores.lmdb.boot import Boot, boot_id, read_boot
from service.stores.lmdb.check import Counted
from service.stores.lmdb.disk_room import DiskShort
from service.stores.lmdb.overdue import SWEPT_ENTRIES, Entry, correct_entries
from service.stores.lmdb.rows import TAIL, is_intact, key_of
from service.stores.lmdb.store import Durability, LmdbStore
from tests.fakes.address_space import address_space
from tests.fakes.disk import small_disk
from tests.service.stores.lmdb.scan import scanned
from tests.service.stores.processes import Worker

pytestmark = pytest.mark.anyio
needs_limit = pytest.mark.skipif(sys.platform != "linux", reason="only Linux heeds a limit of address space")

A, B, C = (new_session_id(1000.0 * n) for n in range(3))
FIVE = [new_session_id(1000.0 * n) for n in range(5)]


def record_of(session_id: str, step: int = 0, num_bytes: int = 4200) -> Record:
    return Record(session_id, "ann", "echo:1", step, 6000, 600, "", bytes([step % 256]) * num_bytes)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LmdbStore]:
    opened = LmdbStore(tmp_path / "store", Limits())
    yield opened
    await opened.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    with small_disk(tmp_path, mebibytes=1) as mounted:
        yield mounted


async def create(store: Store, *records: Record) -> None:
    assert await store.swap([Swap(record, None) for record in records]) == [True] * len(records)


def let_another_process_grow(directory: Path) -> None:
    """Let a process with the largest map write to a store."""
    other = Worker("race", {"store": f"lmdb://{directory}"}, [new_session_id(n) for n in range(500)], "other")
    other.wait_until_ready()
    other.start()
    other.finish()


def damage(store: LmdbStore, key: bytes, position: int) -> None:
    """Alter one byte of a row, as a failing disk would."""
    opened = store._open()
    with opened.environment.begin(write=True) as txn:
        content = bytearray(txn.get(key, db=opened.tables.records) or b"")
        content[position] ^= 1
        txn.put(key, bytes(content), db=opened.tables.records)


@pytest.mark.parametrize("durability", ["process", "commit"])
async def test_nothing_acknowledged_is_lost_when_every_process_is_killed(tmp_path: Path, durability: str) -> None:
    ids = [new_session_id(n) for n in range(40)]
    settings = {"store": f"lmdb://{tmp_path}", "durability": durability}
    workers = [Worker("storm", settings, ids, str(n)) for n in range(2)]
    for worker in workers:
        worker.wait_until_ready()
    for worker in workers:
        worker.start()
    acknowledged = [win for worker in workers for win in worker.wins(30)]
    for worker in workers:
        worker.kill()
    acknowledged += [win for worker in workers for win in worker.last_words()]
    store = LmdbStore(tmp_path, Limits())
    records = dict(zip(ids, await store.load(ids), strict=True))
    await store.close()
    assert acknowledged
    for session_id, step in acknowledged:
        record = records[session_id]
        assert isinstance(record, Record)
        assert record.step >= step
    assert len(acknowledged) == len(set(acknowledged))
    assert scanned(tmp_path)[0].num_live == len(ids)


@pytest.mark.parametrize("row", [b"", TAIL], ids=["head", "tail"])
@pytest.mark.parametrize("position", [0, 9, 21, 45, -1])
async def test_a_damaged_record_hurts_no_other(store: LmdbStore, row: bytes, position: int) -> None:
    await create(store, *map(record_of, [A, B, C]))
    damage(store, key_of(B) + row, position)
    loaded = await store.load([A, B, C])
    assert isinstance(loaded[1], Damaged)
    assert loaded[1].session_id == B
    assert (loaded[0], loaded[2]) == (record_of(A), record_of(C))
    assert await store.page("ann", "", 9) == await store.idlest(9) == [record_of(A), record_of(C)]
    assert len(await store.overdue(10**6, 9)) == 2


@pytest.mark.parametrize("head", [b"", b"cut", bytes(50)])
async def test_a_head_that_is_cut_is_damage_and_in_nobodys_way(store: LmdbStore, head: bytes) -> None:
    await create(store, *map(record_of, FIVE))
    opened = store._open()
    with opened.environment.begin(write=True) as txn:
        txn.put(key_of(FIVE[1]), head, db=opened.tables.records)
    assert await store.swap([Swap(record_of(FIVE[1], 1), 0)]) == [False]
    assert await store.advance([group_of(FIVE, 1)]) == [[True, False, True, True, True]]
    assert len(await store.overdue(10**6, 9)) == len(await store.overdue_of("ann", 6660, 9)) == 4
    await store.delete_overdue(FIVE, 10**6)
    assert isinstance((await store.load(FIVE))[1], Damaged)
    await store.delete([FIVE[1]])
    assert await store.count() == Count(4, 4 * 4200)


async def test_a_damaged_head_is_not_overwritten(store: LmdbStore) -> None:
    await create(store, *map(record_of, [A, B]))
    damage(store, key_of(A), 30)
    assert await store.swap([Swap(record_of(A, 1), 0), Swap(record_of(A), None), Swap(record_of(B, 1), 0)]) == [
        False,
        False,
        True,
    ]


def group_of(ids: list[str], step: int, used_at: int = 6000, num_bytes: int = 4200) -> SwapGroup:
    """What follows records of `record_of` that stand at the step before."""
    bodies = np.full((len(ids), num_bytes), step, np.uint8)
    return SwapGroup(ids, [step] * len(ids), [600] * len(ids), "ann", "echo:1", used_at, bodies[:, :99], bodies[:, 99:])


async def test_a_damaged_head_is_not_overwritten_by_its_groups_step(store: LmdbStore) -> None:
    await create(store, *map(record_of, FIVE))
    damage(store, key_of(FIVE[1]), 30)
    damage(store, key_of(FIVE[2]) + TAIL, 30)
    assert await store.advance([group_of(FIVE, 1)]) == [[True, False, True, True, True]]
    damaged, *loaded = await store.load([FIVE[1], FIVE[0], *FIVE[2:]])
    assert isinstance(damaged, Damaged)
    assert loaded == [record_of(each, 1) for each in (FIVE[0], *FIVE[2:])]


async def test_groups_of_which_one_is_refused_write_nothing(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(), "commit")
    records = [record_of(each) for each in FIVE]
    await create(store, *records)
    with pytest.raises(ValueError, match="cannot be packed"):
        await store.advance([group_of(FIVE[:4], 1), group_of(FIVE[4:], 1)._replace(owner="o" * 300)])
    assert await store.load(FIVE) == records
    await store.close()


async def test_a_group_steps_on_between_two_sweeps(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits())
    await create(store, *map(record_of, FIVE))
    for step, used_at in enumerate([6001, 6590, 6595, 7140, 7150], start=1):
        assert await store.advance([group_of(FIVE, step, used_at)]) == [[True] * 5]
        assert await store.overdue(used_at + 540, 9) == []
    assert await store.overdue(7740, 9) == []
    assert len(await store.overdue(7750 + 60, 9)) == 5
    assert [record.used_at for record in await store.idlest(9)] == [7150] * 5
    await store.close()
    assert scanned(tmp_path) == Counted(Count(5, 5 * 4200), {"echo:1": 5}, {"ann": 5})


@pytest.mark.parametrize("row", [b"", TAIL], ids=["head", "tail"])
async def test_a_damaged_record_can_be_deleted(tmp_path: Path, row: bytes) -> None:
    store = LmdbStore(tmp_path, Limits())
    await create(store, *map(record_of, [A, B, C]))
    damage(store, key_of(A) + row, 40)
    damage(store, key_of(B), 40)
    await store.delete([A])
    assert await store.load([A]) == [None]
    await create(store, record_of(A))
    await store.delete([B])
    assert await store.page("ann", "", 9) == [record_of(A), record_of(C)]
    assert await store.count() == Count(2, 8400)
    await store.close()
    assert scanned(tmp_path) == Counted(Count(2, 8400), {"echo:1": 2}, {"ann": 2})


async def test_a_full_map_refuses_and_loses_nothing(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(), map_size=2**20)
    with pytest.raises(Unavailable, match="map"):
        await fill(store)
    known = await store.count()
    assert len(await store.page("ann", "", 10**6)) == known.num_live > 50
    await store.close()
    assert scanned(tmp_path)[0] == known
    store = LmdbStore(tmp_path, Limits(), map_size=2**21)
    await create(store, record_of(A))
    await store.close()


SMALL = """
import asyncio, resource, sys
from service.stores.backup import backup
from service.stores.base import Unavailable
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from pathlib import Path
directory, max_bytes, num_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))

async def main():
    store = LmdbStore(directory / "store", Limits(max_bytes=max_bytes))
    try:
        await store.note("is", b"kept")
    except Unavailable as error:
        print(error)
    else:
        print(store._opened.environment.info()["map_size"], store._opened.environment.reader_check())
        await store.close()
        backup(f"lmdb://{directory / 'store'}", directory / "copy")

asyncio.run(main())
"""


def opened_with_address_space(directory: Path, max_bytes: int, num_bytes: int) -> str:
    command = [sys.executable, "-c", SMALL, str(directory), str(max_bytes), str(num_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  words of this test
    assert done.stderr == ""
    return done.stdout


@needs_limit
async def test_where_address_space_is_short_the_map_is_smaller(tmp_path: Path) -> None:
    assert opened_with_address_space(tmp_path, 2**28, 2**33) == f"{2**32} 0\n"
    store = LmdbStore(tmp_path / "copy", Limits())
    assert await store.notes("") == {"is": b"kept"}
    await store.close()


@needs_limit
async def test_where_address_space_is_too_short_that_is_said_and_nothing_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = opened_with_address_space(tmp_path, 2**32, 2**33)
    assert said.startswith("the session store needs 16384 MiB of address space, more than this process may map: raise")
    assert said.endswith("raise the limit (ulimit -v, LimitAS=), or lower UNROLLED_MAX_STORE_BYTES\n")
    assert not list((tmp_path / "store").glob("*.mdb"))
    store = LmdbStore(tmp_path / "store", Limits())
    assert await store.count() == Count(0, 0)
    await store.close()
    assert caplog.messages == []


@needs_limit
def test_the_smallest_map_that_would_do_is_tried_too(tmp_path: Path) -> None:
    assert opened_with_address_space(tmp_path, 3 * 2**29, 2**33) == f"{3 * 2**31} 0\n"


@needs_limit
async def test_a_store_that_has_no_address_space_to_grow_is_refused_and_stays(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "store", Limits())
    await create(store, record_of(A))
    await store.close()
    os.truncate(tmp_path / "store" / "data.mdb", 2**32)
    said = opened_with_address_space(tmp_path, 2**20, 2**33)
    assert said.startswith("the session store needs 8192 MiB of address space")
    assert said.endswith("raise the limit (ulimit -v, LimitAS=)\n")
    assert opened_with_address_space(tmp_path, 2**20, 2**34) == f"{2**33} 0\n"


@needs_limit
@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb"])
def test_a_start_without_address_space_removes_only_what_it_has_made(tmp_path: Path, name: str) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / name).symlink_to(tmp_path / "elsewhere")
    assert "MiB of address space" in opened_with_address_space(tmp_path, 2**32, 2**33)
    assert [path.name for path in store.glob("*.mdb")] == [name]


@needs_limit
async def test_an_environment_that_cannot_take_over_a_larger_map_is_opened_again(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(max_bytes=2**18), map_size=2**20)
    await create(store, record_of(A))
    let_another_process_grow(tmp_path)
    with address_space(2**39):
        with pytest.raises(Unavailable, match="Cannot allocate memory"):
            await store.load([A])
        assert await store.load([A]) == [record_of(A)]
    await store.close()


async def test_a_map_that_another_process_has_outgrown_is_taken_over(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(), map_size=2**20)
    await create(store, record_of(A))
    let_another_process_grow(tmp_path)
    assert await store.load([A]) == [record_of(A)]
    await create(store, *map(record_of, [B, C]))
    assert await store.count() == Count(503, (await store.count()).num_bytes)
    await store.close()


@pytest.mark.parametrize("durability", ["process", "commit"])
async def test_a_full_disk_refuses_and_goes_on_once_there_is_room(disk: Path, durability: Durability) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    store = LmdbStore(disk / "store", Limits(), durability)
    with pytest.raises(Unavailable, match="is full except for 256 KiB, which are kept for existing sessions"):
        await fill(store)
    known = await store.count()
    with pytest.raises(Unavailable, match="disk"):
        await create(store, record_of(A, num_bytes=100_000))
    records = await store.page("ann", "", 10**6)
    assert await store.count() == known
    assert len(records) == known.num_live > 50
    ballast.unlink()
    await create(store, record_of(A))
    assert await store.swap([Swap(record_of(A, 1), 0)]) == [True]
    await store.delete([record.session_id for record in records[:50]])
    await create(store, *records[:40])
    await store.close()
    assert scanned(disk / "store")[0].num_live == known.num_live - 9


@pytest.mark.parametrize("durability", ["process", "commit"])
async def test_on_a_full_disk_sessions_go_on_and_end_and_others_take_their_room(
    disk: Path, durability: Durability
) -> None:
    store = LmdbStore(disk / "store", Limits(), durability)
    for _ in range(3):
        with pytest.raises(DiskShort):
            await fill(store)
        records = await store.page("ann", "", 10**6)
        assert len(records) > 50
        for record in records:
            assert await store.swap([Swap(record_of(record.session_id, 1), 0)]) == [True]
        for record in records:
            await store.delete([record.session_id])
    await store.close()


@pytest.mark.parametrize("durability", ["process", "commit"])
async def test_a_store_is_closed_and_opened_on_a_disk_that_others_have_filled(
    disk: Path, durability: Durability
) -> None:
    store = LmdbStore(disk / "store", Limits(), durability)
    await create(store, record_of(A))
    with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))
    with pytest.raises(Unavailable, match=r"is full: make room on it .*; nothing that was acknowledged is lost"):
        await store.swap([Swap(record_of(A, 1, num_bytes=500_000), 0)])
    with pytest.raises(DiskShort):
        await create(store, record_of(B))
    await store.close()
    assert read_boot(disk / "store") == Boot(boot_id(), is_safe=True)
    store = LmdbStore(disk / "store", Limits(), durability)
    assert await store.load([A]) == [record_of(A)]
    await store.close()


async def test_what_is_there_already_is_found_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LmdbStore(tmp_path, Limits())
    await create(store, record_of(A))
    monkeypatch.setattr(lmdb_store, "check_room", Mock(side_effect=DiskShort("full")))
    assert await store.swap([Swap(record_of(A), None)]) == [False]
    with pytest.raises(DiskShort):
        await create(store, record_of(B))
    await store.close()


async def test_one_that_finds_no_room_does_not_hold_up_those_that_are_committed_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LmdbStore(tmp_path, Limits(), "commit")
    await create(store, record_of(A))

    monkeypatch.setattr(lmdb_store, "check_room", Mock(side_effect=DiskShort("full")))
    step, opening = Swap(record_of(A, 1), 0), Swap(record_of(B), None)
    stepped, opened = await asyncio.gather(store.swap([step]), store.swap([opening]), return_exceptions=True)
    assert stepped == [True]
    assert isinstance(opened, DiskShort)
    await store.close()


async def fill(store: LmdbStore) -> None:
    for _ in range(1000):
        await create(store, record_of(new_session_id(time.time())))


async def test_a_path_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be used"):
        await LmdbStore(tmp_path / "file", Limits()).count()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(Unavailable, match="damaged"):
        await LmdbStore(tmp_path / "other", Limits()).count()


async def test_swaps_in_flight_share_a_commit(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(), "commit")
    await create(store, record_of(A))
    before = store._open().environment.info()["last_txnid"]
    ids = [new_session_id(n) for n in range(100)]
    await asyncio.gather(*(create(store, record_of(each)) for each in ids))
    assert store._open().environment.info()["last_txnid"] - before < 50
    await store.close()


async def test_a_refused_swap_does_not_refuse_those_that_share_its_commit(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(max_sessions=2), "commit")
    outcomes = await asyncio.gather(
        store.swap([Swap(record_of(A), None)]),
        store.swap([Swap(record_of(B)._replace(owner="o" * 300), None)]),
        store.swap([Swap(record_of(B), None), Swap(record_of(C), None)]),
        store.swap([Swap(record_of(B), None)]),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["list", "ValueError", "Full", "list"]
    assert await store.count() == Count(2, 8400)
    await store.close()


async def test_a_cancelled_swap_leaves_the_store_in_use(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(), "commit")
    await create(store, record_of(A))
    task = asyncio.ensure_future(store.swap([Swap(record_of(A, 1), 0)]))
    await asyncio.sleep(0)
    task.cancel()
    await create(store, record_of(B))
    assert await store.count() == Count(2, 8400)
    await store.close()


async def test_a_page_of_four_kilobytes_is_not_doubled(store: LmdbStore, tmp_path: Path) -> None:
    await create(store, *(record_of(new_session_id(1000 + n / 64), num_bytes=4300) for n in range(1000)))
    opened = store._open()
    with opened.environment.begin() as txn:
        assert txn.stat(opened.tables.records)["overflow_pages"] == 1000
    assert (tmp_path / "store" / "data.mdb").stat().st_size / 1000 < 4096 + 700


async def test_a_sweep_files_again_what_has_been_used(store: LmdbStore) -> None:
    ids = [new_session_id(n) for n in range(2500)]
    await create(store, *(record_of(each, num_bytes=1) for each in ids))
    await store.swap([Swap(record_of(each, 1, 1)._replace(used_at=9000), 0) for each in ids[:2400]])
    assert len(await store.overdue(6660, 10**6)) == 100
    opened = store._open()
    with opened.environment.begin() as txn:
        due = next(iter(txn.cursor(opened.tables.by_expiry)))[1]
        assert due in map(key_of, ids[2400:])
    assert len(await store.overdue(9660, 10**6)) == 2500


async def test_a_sweep_goes_on_behind_a_minute_whose_last_entries_it_has_corrected(store: LmdbStore) -> None:
    first, *used = sorted([new_session_id(n) for n in range(SWEPT_ENTRIES)], key=key_of)
    later = record_of(C)._replace(used_at=6120)
    await create(store, later, *map(record_of, [first, *used]))
    await store.swap([Swap(record_of(each, 1)._replace(used_at=9000), 0) for each in used])
    assert await store.overdue(6780, 10**6) == [record_of(first), later]


async def test_a_record_that_fits_its_head_again_leaves_no_tail(store: LmdbStore) -> None:
    await create(store, record_of(A))
    await store.swap([Swap(record_of(A, 1, num_bytes=10), 0)])
    assert await store.load([A]) == [record_of(A, 1, num_bytes=10)]
    opened = store._open()
    with opened.environment.begin() as txn:
        assert txn.stat(opened.tables.records)["entries"] == 1


async def test_a_long_sweep_returns_no_more_than_is_asked_and_lets_others_run(store: LmdbStore) -> None:
    await create(store, *(record_of(new_session_id(n), num_bytes=1) for n in range(3 * SWEPT_ENTRIES)))
    sweep = asyncio.ensure_future(store.overdue(6660, 2 * SWEPT_ENTRIES + 2))
    num_turns = 0
    while not sweep.done():
        await asyncio.sleep(0)
        num_turns += 1
    assert len(await sweep) == 2 * SWEPT_ENTRIES + 2
    assert num_turns > 3


async def test_what_is_deleted_before_its_entry_is_corrected_stays_deleted(store: LmdbStore) -> None:
    await create(store, record_of(A))
    await store.delete([A])
    opened = store._open()
    with opened.environment.begin(write=True) as txn:
        correct_entries(opened.tables, txn, [Entry(110, key_of(A))])
    assert await store.load([A]) == [None]
    assert await store.count() == Count(0, 0)


async def test_the_overdue_of_an_owner_are_found_among_many(store: LmdbStore) -> None:
    owners, minutes = ("ann", "ann", "eve", "bob"), (109, 110, 111)
    records = [
        record_of(new_session_id(n * 7919 % 600))._replace(
            owner=owners[n % 4], used_at=60 * minutes[n % 3], ttl_seconds=n * 7 % 60
        )
        for n in range(600)
    ]
    await create(store, *records)
    for owner in ("ann", "eve", "bob"):
        overdue = {record for record in records if record.owner == owner and record.expires_at <= 110 * 60 + 30}
        assert set(await store.overdue_of(owner, 110 * 60 + 30, 600)) == overdue
        assert len(overdue) > 50


async def test_of_an_owners_records_only_the_overdue_are_loaded(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [new_session_id(1000.0 + n) for n in range(50)]
    await create(store, *(record_of(each)._replace(ttl_seconds=600 + n) for n, each in enumerate(ids)))
    loaded = Mock(wraps=tables.to_record)
    monkeypatch.setattr(tables, "to_record", loaded)
    found = await store.overdue_of("ann", 6604, 20)
    assert [record.session_id for record in found] == ids[:5]
    assert loaded.call_count == 5


async def test_the_overdue_of_an_owner_are_not_looked_for_without_end(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.lmdb.overdue.MAX_JUMPS", 3)
    ids = [new_session_id(n) for n in range(20)]
    for n, each in enumerate(ids):  # due in this minute and the last
        await create(store, record_of(each)._replace(owner=("ann", "eve")[n % 2], used_at=(5940, 6000)[n // 10]))
    assert 0 < len(await store.overdue_of("ann", 6600, 20)) <= 3


async def test_a_notes_name_has_1_to_500_bytes(store: LmdbStore) -> None:
    for name in ("", "n" * 501, "\u00e4" * 251):
        with pytest.raises(ValueError, match="a note's name"):
            await store.note(name, b"value")
    await store.note("n" * 500, b"value")
    assert await store.notes("") == {"n" * 500: b"value"}


async def test_what_was_asked_for_is_committed_before_a_store_is_closed(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, Limits(), "commit")
    swaps = [asyncio.ensure_future(create(store, record_of(each))) for each in FIVE]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*swaps)
    assert scanned(tmp_path).totals == Count(5, 5 * 4200)


async def test_a_store_that_lmdb_gives_up_is_opened_again(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(store, record_of(A))

    def panic(*_: object) -> None:
        raise lmdb.PanicError("mdb_txn_begin")

    opened = store._open()
    monkeypatch.setattr(opened.tables, "count", panic)
    with pytest.raises(Unavailable):
        await store.count()
    assert await store.count() == Count(1, 4200)


async def test_ids_of_checkpoints_lie_beside_their_session(store: LmdbStore) -> None:
    checkpoint = record_of(f"{A}~saved")._replace(ended=CHECKPOINT)
    await create(store, record_of(A), checkpoint)
    assert key_of(f"{A}~saved")[:5] == key_of(A)[:5]
    assert await store.overdue(10**6, 9) in ([record_of(A), checkpoint], [checkpoint, record_of(A)])
    with store._open().environment.begin() as txn:
        head = txn.get(key_of(A), db=store._open().tables.records)
    assert head is not None
    assert is_intact(key_of(A), head)
