"""Shards that move between the servers of a cluster, and servers that go."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
from redis.asyncio.cluster import ClusterNode
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from service.record.ids import new_session_id
from service.stores.base import Count, Record, Swap, Unavailable
from service.stores.limits import Limits
from service.stores.redis import cluster
from service.stores.redis.cluster import ClusterLink, _connection_to
from service.stores.redis.link import MAX_CONNECTIONS
from service.stores.redis.shard import index_keys, prefix_of, record_key, shard_of
from service.stores.redis.store import RedisStore
from tests.fakes.process import settle
from tests.redis_server import NEEDS_REDIS, RedisServer, provided_cluster

pytestmark = [pytest.mark.anyio, NEEDS_REDIS]

IDS = [new_session_id(1000.0 * n) for n in range(64)]
NUM_SLOTS_MOVED = 1500


@pytest.fixture
def servers() -> list[RedisServer]:
    return provided_cluster()


@pytest.fixture
async def store(servers: list[RedisServer]) -> AsyncIterator[RedisStore]:
    opened = RedisStore(servers[0].url, Limits())
    assert all(await opened.swap([Swap(record(each, 0), None) for each in IDS]))
    yield opened
    await opened.close()


def record(session_id: str, step: int) -> Record:
    return Record(session_id, "ann", "echo:1", step, 6000 + step, 600, "", b"state" * (step % 7))


async def test_steps_go_on_while_shards_move(servers: list[RedisServer], store: RedisStore) -> None:
    sizes = [int(server.cli("DBSIZE")) for server in servers]
    assert min(sizes) > 0, "a server has no shard"
    source, target = (server.cli("CLUSTER", "MYID") for server in servers[1:])
    words = ["--cluster-from", source, "--cluster-to", target, "--cluster-slots", str(NUM_SLOTS_MOVED), "--cluster-yes"]
    address = f"127.0.0.1:{servers[0].port}"
    moving = asyncio.create_task(asyncio.to_thread(servers[0].cli, "--cluster", "reshard", address, *words))
    step = 0
    while not moving.done():
        step += 1
        assert all(await store.swap([Swap(record(each, step), step - 1) for each in IDS]))
        assert await store.load(IDS) == [record(each, step) for each in IDS]
    await moving
    assert step > 1
    assert int(servers[1].cli("DBSIZE")) < sizes[1]
    assert await store.count() == Count(len(IDS), len(IDS) * 5 * (step % 7))
    assert len(await store.page("ann", "", 99)) == len(IDS)


@pytest.mark.usefixtures("impatience")
async def test_a_server_of_a_cluster_comes_back(servers: list[RedisServer], store: RedisStore) -> None:
    servers[1].freeze()
    with pytest.raises(Unavailable, match=str(servers[1].port)):
        await store.load(IDS)
    servers[1].thaw()
    assert await store.load(IDS) == [record(each, 0) for each in IDS]


async def test_connections_that_a_server_has_closed_are_not_used(servers: list[RedisServer], store: RedisStore) -> None:
    for server in servers:
        server.cli("CLIENT", "KILL", "TYPE", "normal")
    for _ in range(3):
        await asyncio.sleep(0)  # the event loop hears of it
    assert all(await store.swap([Swap(record(each, 1), 0) for each in IDS]))


async def test_more_callers_than_connections_wait_for_one_another(store: RedisStore) -> None:
    calls = (store.load([IDS[n % len(IDS)]]) for n in range(5 * MAX_CONNECTIONS))
    assert [found for (found,) in await asyncio.gather(*calls)] == [record(each, 0) for each in IDS] * 5


@pytest.mark.usefixtures("impatience")
async def test_a_worker_that_begins_while_a_server_hangs_serves_the_shards_of_the_others(
    servers: list[RedisServer], store: RedisStore
) -> None:
    addresses = {each: store._connection._link._node_of(shard_of(each.encode())).port for each in IDS}  # type: ignore[union-attr]
    servers[0].freeze()
    try:
        fresh = RedisStore(servers[1].url, Limits())
        (healthy, *_) = [each for each, port in addresses.items() if port == servers[1].port]
        assert await fresh.load([healthy]) == [record(healthy, 0)]
        await fresh.close()
    finally:
        servers[0].thaw()


async def test_a_cluster_all_of_whose_servers_have_other_addresses_is_found_by_its_url(store: RedisStore) -> None:
    link = store._connection._link
    assert isinstance(link, ClusterLink)
    gone = ClusterNode("127.0.0.1", 1, **link._cluster.nodes_manager.connection_kwargs)
    link._cluster.nodes_manager.startup_nodes = {gone.name: gone}
    link._is_outdated = True
    assert await store.load(IDS[:1]) == [record(IDS[0], 0)]


async def test_a_connection_that_is_to_be_made_anew_is_free_as_soon_as_its_turn_is_over(store: RedisStore) -> None:
    link = store._connection._link
    assert isinstance(link, ClusterLink)
    node = link._node_of(0)
    async with _connection_to(node) as connection:
        connection.mark_for_reconnect()  # as all are when the map of shards is read again
        before = len(node._free)
    assert len(node._free) == before + 1


@pytest.mark.parametrize("are_indexes_first", [False, True])
async def test_a_shard_is_not_rebuilt_while_it_moves(
    servers: list[RedisServer], store: RedisStore, are_indexes_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = defaultdict(list)
    for each in [new_session_id(1000.0 * n) for n in range(2000)]:
        shards[shard_of(each.encode())].append(each)
    shard, (one, other, *_) = next((shard, ids) for shard, ids in shards.items() if len(ids) > 1)
    assert all(await store.swap([Swap(record(each, 0), None) for each in {one, other} - set(IDS)]))
    before, slot = await store.count(), str(key_slot(prefix_of(shard)))
    names = [server.cli("CLUSTER", "MYID") for server in servers]
    source = next(n for n, server in enumerate(servers) if server.cli("CLUSTER", "COUNTKEYSINSLOT", slot) != "0")
    target, third = (source + 1) % 3, (source + 2) % 3
    servers[target].cli("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    servers[source].cli("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    address = ("127.0.0.1", str(servers[target].port))
    first = index_keys(shard) if are_indexes_first else [record_key(one.encode())]
    servers[source].cli("MIGRATE", *address, "", "0", "2000", "KEYS", *(key.decode() for key in first))
    with pytest.raises(Unavailable):
        await store._index.rebuild([shard])
    for each in (one, other):
        assert await store.load([each]) == [record(each, 0)]
    monkeypatch.setattr(cluster, "MAX_ROUNDS", 1000)
    together = asyncio.ensure_future(store.load([one, other]))
    await asyncio.sleep(0.1)
    assert are_indexes_first or not together.done()  # one is where the shard moves to: they wait for the end of it
    while keys := servers[source].cli("CLUSTER", "GETKEYSINSLOT", slot, "100").split():
        servers[source].cli("MIGRATE", *address, "", "0", "2000", "KEYS", *keys)
    for n in (target, source, third):
        servers[n].cli("CLUSTER", "SETSLOT", slot, "NODE", names[target])
    assert await together == await store.load([one, other]) == [record(one, 0), record(other, 0)]
    assert await store.count() == before
    await store._index.rebuild([shard])
    assert await store.count() == before


async def test_nobody_waits_for_who_reads_the_map_of_shards_again_from_a_server_that_hangs(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, answers = store._connection._link, asyncio.Event()
    assert isinstance(link, ClusterLink)
    monkeypatch.setattr(type(link._cluster.nodes_manager), "initialize", lambda _: answers.wait())
    link._is_outdated = True
    learning = asyncio.ensure_future(store.load(IDS[:1]))
    await settle()
    link._is_outdated = True  # another call has met that server meanwhile
    async with asyncio.timeout(5):
        assert await store.load(IDS[1:2]) == [record(IDS[1], 0)]
    assert not learning.done()
    answers.set()
    assert await learning == [record(IDS[0], 0)]


async def test_a_map_of_shards_that_could_not_be_read_is_read_at_the_next_use(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, reads = store._connection._link, list[Exception | None]([RedisConnectionError("gone"), None])
    assert isinstance(link, ClusterLink)

    async def read(_: object) -> None:
        if error := reads.pop(0):
            raise error

    monkeypatch.setattr(type(link._cluster.nodes_manager), "initialize", read)
    link._is_outdated = True
    with pytest.raises(Unavailable, match="gone"):
        await store.load(IDS[:1])
    for _ in range(2):
        assert await store.load(IDS[:1]) == [record(IDS[0], 0)]
    assert not reads


@pytest.mark.parametrize("url", ["redis://:7000", "rediss://h?ssl_password=a", "rediss://h?ssl_ca_path=a"])
def test_a_url_that_can_be_of_no_cluster_is_told(url: str) -> None:
    with pytest.raises(Unavailable, match="cannot be used: "):
        ClusterLink(url)
