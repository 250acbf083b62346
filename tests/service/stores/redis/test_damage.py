"""Records and indexes that are not what was written, on a server and on a cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest

from service.record.ids import new_session_id
from service.stores.base import CHECKPOINT, Count, Damaged, Record, Swap
from service.stores.limits import Limits
from service.stores.redis.shard import encoded, index_keys, prefix_of, record_key, shard_of
from service.stores.redis.store import RedisStore
from tests.redis_server import NEEDS_REDIS, RedisServer, provided_server

pytestmark = [pytest.mark.anyio, NEEDS_REDIS]

A, B, C = (new_session_id(1000.0 * n) for n in range(3))


@pytest.fixture
def server() -> RedisServer:
    return provided_server()


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    opened = RedisStore(server.url, Limits())
    assert all(await opened.swap([Swap(record(each), None) for each in (A, B, C)]))
    yield opened
    await opened.close()


def record(session_id: str, **changes: object) -> Record:
    return Record(session_id, "ann", "echo:1", 0, 6000, 600, "", b"state")._replace(**changes)


def key(session_id: str) -> str:
    return record_key(encoded(session_id)).decode()


@pytest.mark.parametrize(
    "damage",
    [
        ("SETRANGE", "43", "x"),
        ("SETRANGE", "0", "XX"),
        ("SETRANGE", "3", "~"),
        ("SETRANGE", "28", "~"),
        ("SET", "short"),
    ],
    ids=" ".join,
)
async def test_a_damaged_record_is_told_by_its_id_and_can_be_deleted(
    server: RedisServer, store: RedisStore, damage: tuple[str, ...]
) -> None:
    server.cli(damage[0], key(B), *damage[1:])
    before, damaged, after = await store.load([A, B, C])
    assert (before, after) == (record(A), record(C))
    assert isinstance(damaged, Damaged)
    assert damaged.session_id == B
    for found in (store.page("ann", "", 9), store.idlest(9), store.overdue(10**6, 9)):
        assert {each.session_id for each in await found} == {A, C}
    await store.delete([B])
    await expect_sound(store, A, C)


async def test_damaged_records_stand_in_nobodys_way(server: RedisServer, store: RedisStore) -> None:
    for each in (A, B):
        server.cli("SETRANGE", key(each), "0", "XX")
    async with asyncio.timeout(20):
        assert await store.page("ann", "", 1) == await store.idlest(1) == await store.overdue(10**6, 1) == [record(C)]


async def test_a_record_of_another_id_is_damaged(server: RedisServer, store: RedisStore) -> None:
    server.cli("COPY", key(A), key(B), "REPLACE")
    assert await store.load([A]) == [record(A)]
    assert isinstance((await store.load([B]))[0], Damaged)


async def test_a_damaged_record_is_not_swapped(server: RedisServer, store: RedisStore) -> None:
    server.cli("SETRANGE", key(B), "0", "XX")
    swaps = [Swap(record(each, step=1), 0) for each in (A, B, C)] + [Swap(record(B), None)]
    assert await store.swap(swaps) == [True, False, True, False]


@pytest.mark.usefixtures("store")
async def test_a_damaged_record_is_not_swapped_in_a_full_store_either(server: RedisServer) -> None:
    full = RedisStore(server.url, Limits(max_sessions=3))
    server.cli("SETRANGE", key(B), "0", "XX")
    assert await full.swap([Swap(record(A, step=1), 0), Swap(record(B), None)]) == [True, False]
    await full.close()


async def test_a_key_of_another_kind_harms_no_other_record(server: RedisServer, store: RedisStore) -> None:
    server.cli("DEL", key(B))
    server.cli("LPUSH", key(B), "x")
    assert await store.swap([Swap(record(each, step=1), 0) for each in (A, B, C)]) == [True, False, True]
    await store.delete([B])
    await expect_sound(store, A, C)


async def test_a_record_that_the_server_has_dropped_leaves_nothing_behind(
    server: RedisServer, store: RedisStore
) -> None:
    server.cli("DEL", key(B))
    assert {each.session_id for each in await store.idlest(9)} == {A, C}
    await expect_sound(store, A, C)
    assert members(server, "due") == members(server, "use") == {A, C}


@pytest.mark.parametrize("index", ["due", "use", "owners"])
async def test_an_entry_that_is_missing_has_its_shard_rebuilt(
    server: RedisServer, store: RedisStore, index: str
) -> None:
    ids = (new_session_id(1000.0 * n) for n in range(3, 5000))
    neighbour = next(each for each in ids if shard_of(encoded(each)) == shard_of(encoded(A)))
    assert await store.swap([Swap(record(neighbour), None)]) == [True]
    for entry in members(server, index):
        if entry.endswith((A, neighbour)):
            server.cli("ZREM", f"{prefix_of(shard_of(encoded(A))).decode()[:-2]}{index}", entry)
    await store.delete([neighbour])
    if index == "due":  # it alone knows which records there are: those that it has lost are found when they change
        assert await store.swap([Swap(record(A, step=1, used_at=6060), 0)]) == [True]
    await expect_sound(store, A, B, C)


async def test_a_record_that_another_worker_deletes_meanwhile_is_no_broken_index(
    server: RedisServer, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, load, rebuild = RedisStore(server.url, Limits()), store.load, store._index.rebuild
    rebuilt: list[int] = []

    async def load_late(session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        await other.delete([B])
        return await load(session_ids)

    async def noted(shards: Iterable[int]) -> None:
        rebuilt.extend(shards)
        await rebuild(rebuilt)

    monkeypatch.setattr(store, "load", load_late)
    monkeypatch.setattr(store._index, "rebuild", noted)
    assert {each.session_id for each in await store.idlest(9)} == {A, C}
    assert not rebuilt
    server.cli("DEL", key(C))
    assert {each.session_id for each in await store.idlest(9)} == {A}
    assert len(rebuilt) == 1
    await other.close()


async def test_a_rebuilt_shard_is_as_it_was(server: RedisServer, store: RedisStore) -> None:
    saved = record(f"{A}~saved", ended=CHECKPOINT, body=b"12")
    ended = record(f"{B}-ended", ended="ended", body=b"")
    assert all(await store.swap([Swap(saved, None), Swap(ended, None)]))
    indexes = ("use", "owners", "counts", "live")
    before = [sorted(server.cli("DEBUG", "DIGEST-VALUE", each) for each in server.cli("KEYS", "*").split())]
    server.cli("DEL", *(each for each in server.cli("KEYS", "*").split() if each.rpartition(":")[2] in indexes))
    server.cli("ZADD", index_keys(shard_of(encoded(A)))[0].decode(), "XX", "1", A)
    assert await store.count() == Count(0, 0)
    await store._index.rebuild(range(256))
    assert before == [sorted(server.cli("DEBUG", "DIGEST-VALUE", each) for each in server.cli("KEYS", "*").split())]
    assert await store.count() == Count(3, 17)


def members(server: RedisServer, index: str) -> set[str]:
    return {
        each
        for name in server.cli("KEYS", f"*:{index}").split()
        for each in server.cli("ZRANGE", name, "0", "-1").split()
    }


async def expect_sound(store: RedisStore, *session_ids: str) -> None:
    assert await store.count() == Count(len(session_ids), 5 * len(session_ids))
    assert await store.bundles() == {"echo:1": len(session_ids)}
    assert await store.count_of("ann") == len(session_ids)
    found = [await store.page("ann", "", 9), await store.idlest(9), await store.overdue(10**6, 9)]
    assert [{each.session_id for each in records} for records in found] == [set(session_ids)] * 3
