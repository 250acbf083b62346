"""Stores that a version has written which did not count live sessions by owner."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.record.ids import new_session_id
from service.stores import backup
from service.stores.base import CHECKPOINT, QuotaReached, Record, Store, Swap
from service.stores.limits import Limits
from service.stores.lmdb.environment import OpenedStore
from service.stores.lmdb.identity import Identity
from service.stores.lmdb.store import LmdbStore
from service.stores.redis.owner_counts import CHECK_SECONDS, OwnerCounts
from service.stores.redis.store import RedisStore
from tests.redis_server import NEEDS_REDIS, RedisServer, provided_cluster, provided_server
from tests.service.stores.lmdb.scan import scanned

pytestmark = pytest.mark.anyio

IDS = [new_session_id(1000.0 * n) for n in range(9)]
ANN, EVE, NEXT = IDS[:5], IDS[5:7], IDS[7]


def record(session_id: str, owner: str = "ann", **changes: object) -> Record:
    return Record(session_id, owner, "echo:1", 0, 6000, 600, "", b"state")._replace(**changes)


async def fill(store: Store) -> None:
    """Five of Ann's, two of Eve's, and what does not live."""
    records = [*map(record, ANN), *(record(each, "eve") for each in EVE)]
    records += [record(f"{ANN[0]}~saved", ended=CHECKPOINT), record(IDS[8], ended="ended", body=b"")]
    assert all(await store.swap([Swap(each, None) for each in records]))


async def expect_quota(store: Store) -> None:
    """Ann has five of five, Eve two."""
    assert [await store.count_of(owner) for owner in ("ann", "eve", "bob")] == [5, 2, 0]
    with pytest.raises(QuotaReached):
        await store.swap([Swap(record(NEXT), None)])
    assert await store.swap([Swap(record(NEXT, "eve"), None)]) == [True]
    assert await store.load(ANN) == [record(each) for each in ANN]
    assert await store.bundles() == {"echo:1": 8}


def uncount(directory: Path, names: Callable[[bytes], bool]) -> None:
    """Take away counts of live records by owner, and in all, where an older version would have none."""
    opened = OpenedStore(directory, 2**30, False, Limits(), Identity(directory))
    with opened.environment.begin(write=True) as txn:
        for name in [name for name, _ in txn.cursor(opened.tables.counts) if names(name)]:
            txn.delete(name, db=opened.tables.counts)
    opened.close()


@asynccontextmanager
async def lmdb_store(directory: Path) -> AsyncIterator[LmdbStore]:
    store = LmdbStore(directory, Limits(max_sessions_per_owner=5))
    yield store
    await store.close()


@pytest.fixture
async def older(tmp_path: Path) -> Path:
    """An LMDB store as a version left it that counted nothing by owner."""
    async with lmdb_store(tmp_path / "store") as store:
        await fill(store)
    uncount(tmp_path / "store", lambda name: name.startswith(b"=") or name == b"owned")
    return tmp_path / "store"


async def test_an_older_lmdb_store_is_counted_once(older: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with lmdb_store(older) as store:
        await expect_quota(store)
    assert [message for message in caplog.messages if "not counted by owner" in message]
    caplog.clear()
    async with lmdb_store(older) as store:
        assert await store.count_of("ann") == 5
    assert caplog.messages == []
    assert scanned(older).owners == {"ann": 5, "eve": 3}


async def test_what_an_older_version_has_opened_since_is_counted_at_the_next_opening(older: Path) -> None:
    async with lmdb_store(older) as store:
        opened = store._open()
        await store.delete(ANN[:1])
        with opened.environment.begin(write=True) as txn:
            before = {name: txn.get(name, db=opened.tables.counts) or b"" for name in (b"=ann", b"owned")}
        assert await store.swap([Swap(record(ANN[0]), None)]) == [True]
        with opened.environment.begin(write=True) as txn:  # which the older version does not write
            for name, content in before.items():
                txn.put(name, content, db=opened.tables.counts)
        assert await store.count_of("ann") == 4
    async with lmdb_store(older) as store:
        await expect_quota(store)


async def test_a_backup_of_an_older_store_is_counted_too(older: Path, tmp_path: Path) -> None:
    backup.restore(older, f"lmdb://{tmp_path / 'new'}")
    async with lmdb_store(tmp_path / "new") as store:
        await expect_quota(store)


@pytest.fixture(params=["server", "cluster"])
def servers(request: pytest.FixtureRequest) -> list[RedisServer]:
    return [provided_server()] if request.param == "server" else provided_cluster()


@pytest.fixture
async def redis_store(servers: list[RedisServer]) -> AsyncIterator[RedisStore]:
    opened = RedisStore(servers[0].url, Limits(max_sessions_per_owner=5))
    yield opened
    await opened.close()


def uncount_shards(servers: list[RedisServer]) -> None:
    """Take all counts by owner away."""
    for server in servers:
        for key in server.cli("KEYS", "unrolled:*:live").split():
            server.cli("DEL", key)


@NEEDS_REDIS
async def test_an_older_redis_store_is_counted_before_the_quota_is_asked(
    servers: list[RedisServer], redis_store: RedisStore
) -> None:
    await fill(redis_store)
    uncount_shards(servers)
    upgraded = RedisStore(servers[0].url, Limits(max_sessions_per_owner=5))
    await expect_quota(upgraded)
    await upgraded.close()


@NEEDS_REDIS
async def test_what_an_older_replica_has_opened_is_counted_when_it_is_looked_for_again(
    servers: list[RedisServer], redis_store: RedisStore
) -> None:
    now = 7.0
    owners = OwnerCounts(redis_store._index, lambda: now)
    assert await owners.count_of("ann") == 0
    await fill(redis_store)
    uncount_shards(servers)
    now += CHECK_SECONDS / 2
    assert await owners.count_of("ann") == 0
    now += CHECK_SECONDS / 2
    assert await owners.count_of("ann") == 5


@NEEDS_REDIS
async def test_shards_that_are_counted_right_are_left_alone(
    redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(redis_store)
    monkeypatch.setattr("service.stores.redis.index.REBUILD_SHARD", None)
    assert await OwnerCounts(redis_store._index).count_of("ann") == 5
