"""What the log is told of what servers have lost while they were in use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.stores.base import Losses, Unavailable
from service.stores.redis.losses import ServerLosses
from tests.service.stores.redis.test_weakness import opened
from tests.service.stores.redis_server import NEEDS_REDIS, RedisServer, provided_cluster, redis_server

pytestmark = [pytest.mark.anyio, NEEDS_REDIS]
NUM_KEYS = 2000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as started:
        yield started


def fill(server: RedisServer) -> None:
    server.cli("DEBUG", "POPULATE", str(NUM_KEYS), "key", "1000")


async def test_keys_that_were_evicted_are_told_once_and_counted(server: RedisServer) -> None:
    fill(server)
    async with opened(server.url) as store:
        assert await store.losses() == Losses([], 0)
        server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.cli("CONFIG", "SET", "maxmemory", "2mb")
        server.cli("SET", "one", "more")
        told = await store.losses()
        assert told.num_evicted > 0
        (sentence,) = told.sentences
        assert f"Redis at 127.0.0.1:{server.port} has evicted {told.num_evicted} keys" in sentence
        assert await store.losses() == Losses([], told.num_evicted)


@pytest.mark.parametrize("word", ["FLUSHALL", "FLUSHDB"])
async def test_a_database_that_was_emptied_is_told_once(server: RedisServer, word: str) -> None:
    server.cli(word)
    async with opened(server.url) as store:
        assert await store.losses() == Losses([], 0)
        server.cli(word)
        (sentence,) = (await store.losses()).sentences
        assert "was told to empty a database" in sentence
        assert not (await store.losses()).sentences


async def test_a_server_that_was_restarted_is_told_once(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await store.losses()
        server.kill()
        with pytest.raises(Unavailable):
            await store.losses()
        server.start()
        (sentence,) = (await store.losses()).sentences
        assert "was restarted" in sentence
        assert not (await store.losses()).sentences


async def test_every_server_of_a_cluster_is_compared_with_itself() -> None:
    servers = provided_cluster()
    async with opened(servers[0].url) as store:
        await store.losses()
        assert not (await store.losses()).sentences
        servers[2].cli("FLUSHALL")
        (sentence,) = (await store.losses()).sentences
        assert str(servers[2].port) in sentence


def test_statistics_that_were_reset_are_no_loss() -> None:
    losses = ServerLosses()
    losses.look({"redis:6379": {"run_id": "a", "evicted_keys": "7", "cmdstat_flushall": "calls=3,usec=9"}})
    assert losses.num_evicted == 7
    assert losses.look({"redis:6379": {"run_id": "a", "evicted_keys": "0"}}) == []
    assert losses.num_evicted == 0
    assert len(losses.look({"redis:6379": {"run_id": "a", "evicted_keys": "1"}})) == 1
