"""Copies of an LMDB store, and what is put back."""

import errno
import os
import stat
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import lmdb
import pytest

from service.record.ids import new_session_id
from service.stores.backup import BackupRefused, SessionCount, backup, count_sessions, restore
from service.stores.base import Record, Swap
from service.stores.connect import StoreUnknown
from service.stores.limits import Limits
from service.stores.lmdb.boot import Users
from service.stores.lmdb.environment import NoAddressSpace
from service.stores.lmdb.rows import TAIL, key_of
from service.stores.lmdb.store import LmdbStore
from service.stores.lmdb.tables import NUM_TABLES
from tests.fakes.address_space import address_space
from tests.service.stores.lmdb.scan import scanned
from tests.service.stores.processes import Worker
from tests.service.stores.worker import body_of

pytestmark = pytest.mark.anyio

IDS = [new_session_id(1000.0 + n) for n in range(50)]


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A store with a session for each of IDS."""
    store = LmdbStore(tmp_path / "store", Limits())
    records = (Record(each, "ann", "echo:1", 0, 6000, 600, "", bytes(4200)) for each in IDS)
    await store.swap([Swap(record, None) for record in records])
    await store.note("secret", b"kept")
    await store.close()
    return f"lmdb://{tmp_path / 'store'}"


async def test_a_copy_that_was_put_back_is_the_store(tmp_path: Path, url: str) -> None:
    num_bytes = backup(url, tmp_path / "copy")
    assert num_bytes == (tmp_path / "copy" / "data.mdb").stat().st_size
    assert restore(tmp_path / "copy", f"lmdb://{tmp_path / 'new'}") == num_bytes
    store = LmdbStore(tmp_path / "new", Limits())
    assert len(await store.page("ann", "", 99)) == 50
    assert await store.notes("") == {"secret": b"kept"}
    await store.close()
    assert scanned(tmp_path / "new") == scanned(tmp_path / "store")


async def test_a_store_is_copied_while_it_is_written(tmp_path: Path, url: str) -> None:
    workers = [Worker("storm", {"store": url}, IDS, str(n)) for n in range(2)]
    for worker in workers:
        worker.wait_until_ready()
    for worker in workers:
        worker.start()
    before = dict(workers[0].wins(20))
    backup(url, tmp_path / "copy")
    workers[0].wins(5)
    for worker in workers:
        worker.kill()
        worker.last_words()
    restore(tmp_path / "copy", f"lmdb://{tmp_path / 'new'}")
    store = LmdbStore(tmp_path / "new", Limits())
    for record in await store.load(IDS):
        assert isinstance(record, Record)
        assert record.step >= before.get(record.session_id, 0)
        assert record.body in {body_of(record.session_id, record.step, name) for name in "01"}
    await store.close()
    scanned(tmp_path / "new")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux heeds a limit of address space")
async def test_a_store_that_cannot_be_mapped_whole_is_not_copied(tmp_path: Path, url: str) -> None:
    os.truncate(tmp_path / "store" / "data.mdb", 2**39)
    with address_space(2**39), pytest.raises(NoAddressSpace) as refused:
        backup(url, tmp_path / "copy")
    assert str(refused.value) == (
        "the session store needs 524304 MiB of address space, more than this process may map: raise the limit "
        "(ulimit -v, LimitAS=)"
    )
    assert not (tmp_path / "copy").exists()


async def test_nothing_is_overwritten(tmp_path: Path, url: str) -> None:
    backup(url, tmp_path / "copy")
    with pytest.raises(BackupRefused, match="not empty"):
        backup(url, tmp_path / "copy")
    with pytest.raises(BackupRefused, match="there is a session store in"):
        restore(tmp_path / "copy", url)


async def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="no session store"):
        backup(f"lmdb://{tmp_path / 'nowhere'}", tmp_path / "copy")
    with pytest.raises(BackupRefused, match="no backup"):
        restore(tmp_path / "nowhere", f"lmdb://{tmp_path / 'new'}")
    for url in ("redis://somewhere", "memory://"):
        with pytest.raises(BackupRefused, match="for Redis use `redis-cli --rdb`"):
            backup(url, tmp_path / "copy")
        with pytest.raises(BackupRefused, match="for Redis start a server on its dump"):
            restore(tmp_path, url)
    with pytest.raises(StoreUnknown, match="no directory"):
        backup("lmdb://relative/path", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "nowhere").exists()


async def test_a_copy_is_for_its_owners_eyes_as_the_store_is(tmp_path: Path, url: str) -> None:
    (tmp_path / "copy").mkdir(mode=0o755)
    backup(url, tmp_path / "copy")
    restore(tmp_path / "copy", f"lmdb://{tmp_path / 'new'}")
    assert [stat.S_IMODE((tmp_path / each / "data.mdb").stat().st_mode) for each in ("copy", "new")] == [0o600] * 2


def everything(directory: Path) -> set[Path]:
    return set(directory.rglob("*"))


async def test_a_refused_restore_leaves_nothing(tmp_path: Path, url: str) -> None:
    user = Worker("storm", {"store": url}, IDS[:1], "user")
    user.wait_until_ready()
    (tmp_path / "volume").mkdir()
    before = everything(tmp_path)
    for place in ("deep/new", "volume"):
        with pytest.raises(BackupRefused, match="in use"):
            restore(tmp_path / "store", f"lmdb://{tmp_path / place}")
        assert everything(tmp_path) == before
    user.kill()
    user.last_words()


async def test_a_restore_that_fails_leaves_nothing(tmp_path: Path, url: str) -> None:
    backup(url, tmp_path / "copy")
    (tmp_path / "copy" / "data.mdb").write_bytes(b"something else" * 1000)
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "lost+found").mkdir()
    before = everything(tmp_path)
    for place in ("deep/new", "volume"):
        with pytest.raises(BackupRefused, match="is damaged"):
            restore(tmp_path / "copy", f"lmdb://{tmp_path / place}")
        assert everything(tmp_path) == before


async def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "data.mdb").write_bytes(b"something else" * 1000)
    (tmp_path / "volume").mkdir()
    before = everything(tmp_path) | {tmp_path / "store" / "lock.mdb"}
    for place in ("deep/copy", "volume"):
        with pytest.raises(BackupRefused, match="cannot be copied"):
            backup(f"lmdb://{tmp_path / 'store'}", tmp_path / place)
    assert everything(tmp_path) <= before


@pytest.mark.parametrize("place", ["deep/new", "volume"])
async def test_a_copy_that_cannot_be_finished_is_not_left(
    tmp_path: Path, url: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(directory: Path, _: object) -> None:
        (directory / "boot.json.draft").write_bytes(b"")
        raise OSError(errno.ENOSPC, "No space left on device")

    backup(url, tmp_path / "copy")
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr("service.stores.backup.write_boot", full)
    before = everything(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        backup(url, tmp_path / place)
    with pytest.raises(OSError, match="No space left"):
        restore(tmp_path / "copy", f"lmdb://{tmp_path / place}")
    assert everything(tmp_path) == before


async def test_a_store_that_appears_meanwhile_is_not_touched(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(url, tmp_path / "copy")
    there = Users.opening

    def and_a_service_was_first(users: Users) -> AbstractContextManager[None]:
        (tmp_path / "new" / "data.mdb").write_bytes(b"of a service")
        return there(users)

    monkeypatch.setattr(Users, "opening", and_a_service_was_first)
    (tmp_path / "copy" / "users.lock").unlink(missing_ok=True)
    with pytest.raises(BackupRefused, match="there is a session store in"):
        restore(tmp_path / "copy", f"lmdb://{tmp_path / 'new'}")
    assert (tmp_path / "new" / "data.mdb").read_bytes() == b"of a service"


async def test_a_store_in_use_is_no_backup(tmp_path: Path, url: str) -> None:
    user = Worker("storm", {"store": url}, IDS[:1], "user")
    user.wait_until_ready()
    with pytest.raises(BackupRefused, match="in use"):
        restore(tmp_path / "store", f"lmdb://{tmp_path / 'new'}")
    user.kill()
    user.last_words()
    assert restore(tmp_path / "store", f"lmdb://{tmp_path / 'new'}")


async def test_a_damaged_copy_is_refused(tmp_path: Path, url: str) -> None:
    num_bytes = backup(url, tmp_path / "copy")
    with (tmp_path / "copy" / "data.mdb").open("rb+") as file:
        file.truncate(num_bytes // 2)
    words = rf"^the backup in {tmp_path / 'copy'} is damaged \([^/]+\), so nothing was restored; was it copied with cp"
    with pytest.raises(BackupRefused, match=words):
        restore(tmp_path / "copy", f"lmdb://{tmp_path / 'new'}")
    assert not (tmp_path / "new" / "data.mdb").exists()


async def test_expired_sessions_are_counted_without_their_bodies(tmp_path: Path, url: str) -> None:
    with lmdb.open(str(tmp_path / "store"), max_dbs=NUM_TABLES) as environment:
        records = environment.open_db(b"records")
        with environment.begin(write=True) as txn:
            for each in IDS:
                assert txn.delete(key_of(each) + TAIL, db=records)
    assert count_sessions(url, 6540) == SessionCount(num_live=50, num_expired=0)
    assert count_sessions(url, 6660) == SessionCount(num_live=50, num_expired=50)


async def test_ends_are_not_counted_as_expired_sessions(tmp_path: Path, url: str) -> None:
    store = LmdbStore(tmp_path / "store", Limits())
    await store.swap([Swap(Record(IDS[0], "ann", "echo:1", 1, 6000, 600, "ended", b""), 0)])
    await store.close()
    assert count_sessions(url, 6660) == SessionCount(num_live=49, num_expired=49)
