"""Shards that move between the servers of a cluster, and servers that go."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.record.ids import new_session_id
from service.stores.base import Count, Record, Swap, Unavailable
from service.stores.limits import Limits
from service.stores.redis.link import MAX_CONNECTIONS
from service.stores.redis.store import RedisStore
from tests.service.stores.redis_server import NEEDS_REDIS, RedisServer, provided_cluster

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


async def test_a_server_of_a_cluster_comes_back(servers: list[RedisServer], store: RedisStore) -> None:
    servers[1].freeze()
    with pytest.raises(Unavailable, match=str(servers[1].port)):
        await store.load(IDS)
    servers[1].thaw()
    assert await store.load(IDS) == [record(each, 0) for each in IDS]
    servers[0].cli("CLIENT", "KILL", "TYPE", "normal")
    for _ in range(3):
        await asyncio.sleep(0)  # the event loop hears of it
    assert all(await store.swap([Swap(record(each, 1), 0) for each in IDS]))


async def test_more_callers_than_connections_wait_for_one_another(store: RedisStore) -> None:
    calls = (store.load([IDS[n % len(IDS)]]) for n in range(5 * MAX_CONNECTIONS))
    assert [found for (found,) in await asyncio.gather(*calls)] == [record(each, 0) for each in IDS] * 5
