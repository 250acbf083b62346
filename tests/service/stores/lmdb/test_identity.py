"""A store whose files are moved, removed or replaced while it is served is no store until they are back."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.record.ids import new_session_id
from service.stores.base import Record, Swap, Unavailable
from service.stores.limits import Limits
from service.stores.lmdb.boot import FILE
from service.stores.lmdb.identity import LOOK_SECONDS, Identity, StoreMoved
from service.stores.lmdb.store import Durability, LmdbStore
from tests.fakes.clock import Clock

pytestmark = pytest.mark.anyio

SESSION = Record(new_session_id(1000), "ann", "echo:1", 0, 6000, 600, "", b"state")
Harm = Callable[[Path], object]


def moved(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))


def removed(directory: Path) -> None:
    shutil.rmtree(directory)


def replaced(directory: Path) -> None:
    moved(directory)
    shutil.copytree(directory.with_name("elsewhere"), directory)


def unlocked(directory: Path) -> None:
    """As by somebody who takes the lock file for one that was forgotten."""
    (directory / "lock.mdb").unlink()


def files(directory: Path) -> list[Path] | None:
    """What is in a directory. None if it is not there."""
    return sorted(directory.iterdir()) if directory.exists() else None


class Store(LmdbStore):
    """A store with one session, and the clock by which it looks for its files."""

    def __init__(self, directory: Path, shared: Path | None = None, durability: Durability = "process") -> None:
        super().__init__(directory, Limits(), durability, shared=shared)
        self.clock = Clock()
        self._identity = Identity(directory, shared, self.clock)

    async def step(self, step: int) -> bool:
        return await self.swap([Swap(SESSION._replace(step=step), step - 1 if step else None)]) == [True]


@pytest.mark.parametrize("durability", ["process", "commit"])
@pytest.mark.parametrize("harm", [moved, removed, replaced, unlocked])
async def test_nothing_is_read_or_written_once_the_files_are_others(
    tmp_path: Path, harm: Harm, durability: Durability, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "store", durability=durability)
    assert await store.step(0)
    harm(tmp_path / "store")
    store.clock.now += LOOK_SECONDS
    for _ in range(2):
        with pytest.raises(StoreMoved):
            await store.step(1)
        with pytest.raises(Unavailable):
            await store.load([SESSION.session_id])
    assert store.is_moved
    assert caplog.messages == [str(StoreMoved(tmp_path / "store"))]
    await store.close()


async def test_a_store_that_is_put_back_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / "store")
    assert await store.step(0)
    moved(tmp_path / "store")
    store.clock.now += LOOK_SECONDS
    assert store.is_moved
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    with pytest.raises(StoreMoved):  # until it looks again
        await store.step(1)
    store.clock.now += LOOK_SECONDS
    assert await store.step(1)
    assert not store.is_moved
    assert caplog.messages[1:] == [f"the session store in {tmp_path / 'store'} is back in its place"]
    await store.close()


@pytest.mark.parametrize("harm", [moved, removed, replaced, unlocked])
async def test_a_process_that_comes_later_opens_and_makes_no_other_files(tmp_path: Path, harm: Harm) -> None:
    """With the first one gone, and what it has left for the others of its service still there."""
    directory, shared = tmp_path / "store", tmp_path / "service"
    shared.mkdir()
    first = Store(directory, shared)
    assert await first.step(0)
    await first.close()
    harm(directory)
    there = files(directory)
    later = Store(directory, shared)
    with pytest.raises(StoreMoved):
        await later.step(1)
    assert files(directory) == there
    if harm is moved:
        (tmp_path / "elsewhere").rename(directory)
        assert await later.step(1)
    await later.close()


async def test_another_service_makes_a_store_where_there_is_none(tmp_path: Path) -> None:
    for service in ("one", "two"):
        (tmp_path / service).mkdir()
        store = Store(tmp_path / "store", tmp_path / service)
        assert await store.step(0)
        await store.close()
        moved(tmp_path / "store")
        (tmp_path / "elsewhere").rename(tmp_path / f"elsewhere-{service}")


async def test_a_service_whose_directory_is_gone_opens_its_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", tmp_path / "nowhere")
    assert await store.step(0)
    await store.close()


async def test_who_closes_a_store_that_was_replaced_leaves_the_other_alone(tmp_path: Path) -> None:
    """It would say of the other that all of it is on the disk."""
    store = Store(tmp_path / "store")
    assert await store.step(0)
    replaced(tmp_path / "store")
    before = (tmp_path / "store" / FILE).read_bytes()
    await store.close()
    assert (tmp_path / "store" / FILE).read_bytes() == before
    assert (tmp_path / "elsewhere" / FILE).read_bytes() == before
    again = Store(tmp_path / "elsewhere")
    assert await again.load([SESSION.session_id]) == [SESSION]
    await again.close()


async def test_files_that_nobody_may_look_at_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    assert await store.step(0)
    with monkeypatch.context() as patch:
        patch.setattr("service.stores.lmdb.identity._found", _refused)
        store.clock.now += LOOK_SECONDS
        assert not store.is_moved
        assert await store.step(1)
    await store.close()


def _refused(_: Path) -> str:
    raise PermissionError
