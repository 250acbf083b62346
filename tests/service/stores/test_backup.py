"""Copies of an LMDB store, and what is put back."""

from pathlib import Path

import pytest

from service.record.ids import new_session_id
from service.stores.backup import BackupRefused, backup, restore
from service.stores.base import Record, Swap
from service.stores.connect import StoreUnknown
from service.stores.limits import Limits
from service.stores.lmdb.check import StoreDamaged
from service.stores.lmdb.store import LmdbStore
from tests.service.stores.lmdb.test_store import scanned
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
    with pytest.raises(StoreUnknown, match="no directory"):
        backup("redis://somewhere", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "nowhere").exists()


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
    with pytest.raises(StoreDamaged):
        restore(tmp_path / "copy", f"lmdb://{tmp_path / 'new'}")
    assert not (tmp_path / "new" / "data.mdb").exists()
