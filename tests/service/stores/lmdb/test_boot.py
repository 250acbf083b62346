"""What is checked before a store is served: all of it if its files may lack writes, otherwise nothing."""

import fcntl
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from service.record.ids import new_session_id
from service.stores.base import Count, Damaged, Record, Swap
from service.stores.limits import Limits
from service.stores.lmdb import boot, check
from service.stores.lmdb.check import StoreDamaged
from service.stores.lmdb.environment import OpenedStore
from service.stores.lmdb.identity import Identity, number_of
from service.stores.lmdb.rows import TAIL, key_of
from service.stores.lmdb.store import Durability, LmdbStore
from tests.service.stores.histories import HISTORIES, outcome
from tests.service.stores.processes import Worker
from tests.service.stores.worker import NUM_STEPS

pytestmark = pytest.mark.anyio

IDS = [new_session_id(1000.0 + n) for n in range(200)]


def record_of(session_id: str, step: int = 0) -> Record:
    return Record(session_id, "ann", "echo:1", step, 6000, 600, "", bytes([step]) * 4200)


async def filled(directory: Path, durability: Durability = "process") -> LmdbStore:
    store = LmdbStore(directory, Limits(), durability)
    await store.swap([Swap(record_of(each), None) for each in IDS])
    return store


def copied(directory: Path, tmp_path: Path) -> Path:
    """The files as a crash of the machine leaves them, when all has reached the disk."""
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    known = boot.read_boot(copy)
    assert known is not None
    boot.write_boot(copy, known._replace(file=number_of(copy / "data.mdb")))  # where they lie, nothing was copied
    return copy


def overwrite(directory: Path, position: int, content: bytes) -> None:
    with (directory / "data.mdb").open("rb+") as file:
        file.seek(position)
        file.write(content)


class Machine:
    """Starts again when told to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._num_boots = 0
        self.reboot()

    def reboot(self) -> None:
        self._num_boots += 1
        self._path.write_text(f"boot-{self._num_boots}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(boot, "BOOT_ID", tmp_path / "boot_id")
    return Machine(tmp_path / "boot_id")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories that have been checked."""
    checked: list[Path] = []

    def counted(directory: Path) -> None:
        checked.append(directory)
        check.check_structure(directory)

    monkeypatch.setattr("service.stores.lmdb.environment.check_structure", counted)
    return checked


def is_locked(path: Path, operation: int) -> bool:
    """Whether another cannot take a lock now."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_one_process_opens_a_store_at_a_time(tmp_path: Path) -> None:
    with boot.Users(tmp_path).opening():
        assert is_locked(tmp_path / boot.OPENING, fcntl.LOCK_SH)
    assert not is_locked(tmp_path / boot.OPENING, fcntl.LOCK_EX)


def test_who_is_alone_still_has_a_place_and_lets_others_join(tmp_path: Path) -> None:
    users = boot.Users(tmp_path)
    users.join()
    assert users.is_alone()
    assert is_locked(tmp_path / boot.USERS, fcntl.LOCK_EX)
    assert not is_locked(tmp_path / boot.USERS, fcntl.LOCK_SH)
    users.leave()
    assert not is_locked(tmp_path / boot.USERS, fcntl.LOCK_EX)


def test_none_of_two_is_alone_until_the_other_leaves(tmp_path: Path) -> None:
    one, other = boot.Users(tmp_path), boot.Users(tmp_path)
    for users in (one, other):
        users.join()
    assert [one.is_alone(), other.is_alone(), one.is_alone()] == [False] * 3
    other.leave()
    other.leave()
    assert one.is_alone()
    one.leave()


def test_writing_a_boot_file_leaves_no_draft_and_nothing_open(tmp_path: Path) -> None:
    num_open = len(list(Path("/proc/self/fd").iterdir()))
    boot.write_boot(tmp_path, boot.Boot("a boot", is_safe=True))
    assert [path.name for path in tmp_path.iterdir()] == [boot.FILE]
    assert boot.read_boot(tmp_path) == boot.Boot("a boot", is_safe=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == num_open


async def test_a_store_that_was_closed_is_opened_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await filled(tmp_path / "store")
    await store.close()
    await opened_and_closed(tmp_path / "store")
    assert caplog.records == []


async def test_killed_processes_are_no_reason_to_check(tmp_path: Path, checks: list[Path]) -> None:
    store = await filled(tmp_path / "store")
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    await opened_and_closed(copy)
    assert checks == []


@pytest.mark.parametrize("durability", ["process", "commit"])
async def test_a_store_that_was_closed_is_not_checked(
    tmp_path: Path, machine: Machine, checks: list[Path], durability: Durability
) -> None:
    store = await filled(tmp_path / "store", durability)
    await store.close()
    machine.reboot()
    await opened_and_closed(tmp_path / "store")
    assert checks == []


async def test_after_a_crash_of_the_machine_all_is_checked(
    tmp_path: Path, machine: Machine, checks: list[Path]
) -> None:
    store = await filled(tmp_path / "store")
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    machine.reboot()
    assert await opened_and_closed(copy) == Count(200, 200 * 4200)
    assert checks == [copy]
    machine.reboot()
    await opened_and_closed(copy)
    assert checks == [copy]


async def test_with_every_commit_on_the_disk_a_crash_is_no_reason_to_check(
    tmp_path: Path, machine: Machine, checks: list[Path]
) -> None:
    store = await filled(tmp_path / "store", "commit")
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    machine.reboot()
    await opened_and_closed(copy)
    assert checks == []


async def test_commits_on_the_disk_do_not_vouch_for_a_process_that_does_not_sync(
    tmp_path: Path,
) -> None:
    lax = Worker("storm", {"store": f"lmdb://{tmp_path / 'store'}"}, IDS[:1], "lax")
    lax.wait_until_ready()
    strict = await filled(tmp_path / "store", "commit")
    boots = boot.read_boot(tmp_path / "store")
    assert boots is not None
    assert not boots.is_safe
    await strict.close()
    assert boot.read_boot(tmp_path / "store") == boots
    lax.kill()
    lax.last_words()


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("durability", ["process", "commit"])
async def test_a_copy_of_an_open_store_is_checked_once(
    tmp_path: Path, checks: list[Path], durability: Durability, caplog: pytest.LogCaptureFixture
) -> None:
    store = await filled(tmp_path / "store", durability)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    await store.close()
    for _ in range(2):
        assert await opened_and_closed(tmp_path / "copy") == Count(200, 200 * 4200)
        assert checks == [tmp_path / "copy"]
    assert caplog.messages == [
        "the session store was not closed, and is in another file now: it was copied while it was served, or its "
        "volume mounted anew; checking the whole store",
        "checked the session store: its structure is intact, 0 records are damaged",
    ]


async def test_a_copy_that_lacks_pages_is_refused_on_the_boot_it_was_made_under(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store")
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    overwrite(tmp_path / "copy", ((tmp_path / "copy" / "data.mdb").stat().st_size // 8192) * 4096, bytes(8 * 4096))
    await store.close()
    with pytest.raises(StoreDamaged, match="move the directory away"):
        await opened_and_closed(tmp_path / "copy")


async def test_a_copy_of_a_closed_store_is_not_checked(tmp_path: Path, machine: Machine, checks: list[Path]) -> None:
    store = await filled(tmp_path / "store")
    await store.close()
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    machine.reboot()
    await opened_and_closed(tmp_path / "copy")
    assert checks == []


async def test_a_store_is_not_checked_for_the_sake_of_an_older_version_that_named_no_file(
    tmp_path: Path, checks: list[Path]
) -> None:
    store = await filled(tmp_path / "store")
    await store.close()
    (tmp_path / "store" / boot.FILE).write_text(f'{{"boot_id": "{boot.boot_id()}", "safe": false}}')
    await opened_and_closed(tmp_path / "store")
    assert checks == []


async def test_where_no_boot_is_known_any_store_that_was_not_closed_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: list[Path]
) -> None:
    monkeypatch.setattr(boot, "BOOT_ID", tmp_path / "nowhere")
    store = await filled(tmp_path / "store")
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    await opened_and_closed(copy)
    assert checks == [copy]


async def test_a_file_that_is_no_store_is_refused_though_it_was_closed(tmp_path: Path, checks: list[Path]) -> None:
    store = await filled(tmp_path / "store")
    await store.close()
    (tmp_path / "store" / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreDamaged, match="move the directory away"):
        await opened_and_closed(tmp_path / "store")
    assert checks == []


async def test_a_store_without_a_boot_file_is_checked(tmp_path: Path, checks: list[Path]) -> None:
    store = await filled(tmp_path / "store")
    await store.close()
    (tmp_path / "store" / boot.FILE).unlink()
    await opened_and_closed(tmp_path / "store")
    assert len(checks) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"boot_id": "boot-1", "safe": 1}'])
async def test_a_damaged_boot_file_vouches_for_nothing(
    tmp_path: Path, machine: Machine, checks: list[Path], content: bytes
) -> None:
    store = await filled(tmp_path / "store")
    await store.close()
    machine.reboot()
    (tmp_path / "store" / boot.FILE).write_bytes(content)
    await opened_and_closed(tmp_path / "store")
    assert len(checks) == 1


async def test_a_broken_structure_is_refused_until_it_is_moved_away(tmp_path: Path, machine: Machine) -> None:
    store = await filled(tmp_path / "store")
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    num_pages = (copy / "data.mdb").stat().st_size // 4096
    overwrite(copy, (num_pages // 2) * 4096, bytes(8 * 4096))
    machine.reboot()
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="move the directory away"):
            await opened_and_closed(copy)
    copy.rename(tmp_path / "away")
    assert await opened_and_closed(copy) == Count(0, 0)


async def test_a_torn_file_is_refused(tmp_path: Path, machine: Machine) -> None:
    store = await filled(tmp_path / "store")
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    with (copy / "data.mdb").open("rb+") as file:
        file.truncate(100_000)
    machine.reboot()
    with pytest.raises(StoreDamaged):
        await opened_and_closed(copy)


async def test_single_damaged_records_stay_and_are_not_counted(tmp_path: Path, machine: Machine) -> None:
    store = await filled(tmp_path / "store")
    opened = store._open()
    with opened.environment.begin(write=True) as txn:
        for row in (key_of(IDS[3]), key_of(IDS[5]) + TAIL):
            content = bytearray(txn.get(row, db=opened.tables.records) or b"")
            content[50] ^= 1
            txn.put(row, bytes(content), db=opened.tables.records)
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    machine.reboot()
    store = LmdbStore(copy, Limits())
    loaded = await store.load(IDS)
    assert [each for each, found in zip(IDS, loaded, strict=True) if isinstance(found, Damaged)] == [IDS[3], IDS[5]]
    assert await store.count() == Count(199, 199 * 4200)
    await store.delete([IDS[3], IDS[5]])
    assert await store.count() == Count(198, 198 * 4200)
    assert len(await store.page("ann", "", 999)) == len(await store.idlest(999)) == 198
    await store.close()


async def test_indexes_and_counts_are_built_again_where_they_lie(tmp_path: Path, machine: Machine) -> None:
    store = await filled(tmp_path / "store")
    opened = store._open()
    with opened.environment.begin(write=True) as txn:
        txn.drop(opened.tables.by_owner, delete=False)
        txn.put(b":echo:1", bytes(8), db=opened.tables.counts)
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    machine.reboot()
    store = LmdbStore(copy, Limits())
    assert len(await store.page("ann", "", 999)) == 200
    assert await store.bundles() == {"echo:1": 200}
    await store.close()


async def test_workers_that_start_together_after_a_crash_are_right(tmp_path: Path) -> None:
    store = await filled(tmp_path / "store")
    copy = copied(tmp_path / "store", tmp_path)
    await store.close()
    boot.write_boot(copy, boot.Boot("another boot", is_safe=False))
    workers = [Worker("race", {"store": f"lmdb://{copy}"}, IDS[:5], str(n)) for n in range(4)]
    for worker in workers:
        worker.wait_until_ready()
    for worker in workers:
        worker.start()
    assert sum(len(worker.finish()) for worker in workers) == 5 * (NUM_STEPS - 1)
    known = boot.read_boot(copy)
    assert known is not None
    assert known.is_safe


@given(HISTORIES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_history_leaves_indexes_and_counts_right(tmp_path: Path, history: list[list[Swap] | str]) -> None:
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    store = LmdbStore(tmp_path / "store", Limits())
    for number, event in enumerate(history):
        await outcome(store, event)
        await store.overdue(100 * number, 5)
    await store.close()
    opened = OpenedStore(tmp_path / "store", 2**30, False, Limits(), Identity(tmp_path / "store"))
    with opened.environment.begin() as txn:
        assert check.is_derived_right(opened.tables, txn)
    opened.close()


async def opened_and_closed(directory: Path) -> Count:
    store = LmdbStore(directory, Limits())
    try:
        return await store.count()
    finally:
        await store.close()
