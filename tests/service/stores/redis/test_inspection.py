"""What the log is told of servers: what their configuration may lose, and what they have lost."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.stores.base import Unavailable
from service.stores.limits import Limits
from service.stores.redis.inspection import ServerLosses, weaknesses_of
from service.stores.redis.store import RedisStore
from tests.redis_server import NEEDS_REDIS, RedisServer, provided_cluster, redis_server
from tests.service.stores.redis.opening import opened

pytestmark = [pytest.mark.anyio, NEEDS_REDIS]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as started:
        yield started


async def test_a_server_that_keeps_its_promises_has_none(server: RedisServer) -> None:
    async with opened(server.url) as store:
        assert (await store.inspect()).weaknesses == []


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("appendonly", "no", "no append-only file"),
        ("appendfsync", "everysec", "appendfsync everysec"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy allkeys-lru"),
    ],
)
async def test_each_weak_setting_is_told(server: RedisServer, setting: str, value: str, told: str) -> None:
    server.cli("CONFIG", "SET", setting, value)
    async with opened(server.url) as store:
        (sentence,) = (await store.inspect()).weaknesses
    assert told in sentence
    assert f"127.0.0.1:{server.port}" in sentence


async def test_a_policy_that_drops_only_keys_with_a_time_to_live_is_none(server: RedisServer) -> None:
    server.cli("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    async with opened(server.url) as store:
        assert (await store.inspect()).weaknesses == []


@pytest.mark.parametrize(
    ("policy", "sizes", "is_told"),
    [
        ("noeviction", ["1299"], True),
        ("noeviction", ["1300"], False),
        ("noeviction", ["0"], False),
        ("noeviction", ["600", "600"], True),
        ("noeviction", ["600", "700"], False),
        ("noeviction", ["600", "0"], False),
        ("allkeys-lru", ["600"], False),
    ],
)
def test_servers_that_are_full_before_they_hold_what_they_may_are_told(
    policy: str, sizes: list[str], is_told: bool
) -> None:
    told = {"aof_enabled": "1", "maxmemory_policy": policy}
    infos = {f"redis:{n}": {**told, "maxmemory": size} for n, size in enumerate(sizes)}
    sentences = weaknesses_of(infos, {each: [b"appendfsync", b"always"] for each in infos}, 1000)
    found = [sentence for sentence in sentences if f"maxmemory is {sum(map(int, sizes))}" in sentence]
    assert bool(found) == is_told


async def test_a_server_that_is_smaller_than_the_store_may_be_is_told(server: RedisServer) -> None:
    store = RedisStore(server.url, Limits(max_bytes=2**30))
    server.cli("CONFIG", "SET", "maxmemory", "1gb")
    (sentence,) = (await store.inspect()).weaknesses
    assert sentence.startswith(f"Redis at 127.0.0.1:{server.port} may be full before it holds")
    await store.close()


async def test_what_is_advised_keeps_the_sessions(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.cli("SET", "a", "session")
    async with opened(server.url) as store:
        (sentence,) = (await store.inspect()).weaknesses
    advised = re.findall(r"CONFIG SET (\w+) (\w+)", sentence)
    assert len(advised) == 2
    for setting in advised:
        server.cli("CONFIG", "SET", *setting)
    assert "aof_rewrite_in_progress:0" in sentence
    while "aof_rewrite_in_progress:0" not in server.cli("INFO", "persistence"):
        pass
    server.kill()
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as restarted:
        assert restarted.cli("GET", "a") == "session"
        async with opened(restarted.url) as store:
            assert (await store.inspect()).weaknesses == []


async def test_a_dump_is_restored_as_documented(server: RedisServer, tmp_path: Path) -> None:
    server.cli("SET", "a", "session")
    (tmp_path / "new").mkdir()
    server.cli("--rdb", str(tmp_path / "new" / "dump.rdb"))
    with redis_server(tmp_path / "new", "--appendonly", "no") as restored:
        restored.cli("CONFIG", "SET", "appendonly", "yes")
        while "aof_rewrite_in_progress:0" not in restored.cli("INFO", "persistence"):
            pass
    with redis_server(tmp_path / "new", "--appendonly", "yes") as restarted:
        assert restarted.cli("GET", "a") == "session"


async def test_replicas_are_told(server: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "replica").mkdir()
    with redis_server(tmp_path / "replica", "--repl-diskless-sync-delay", "0") as replica:
        replica.cli("REPLICAOF", "127.0.0.1", str(server.port))
        while "connected_slaves:1" not in server.cli("INFO", "replication"):
            pass
        async with opened(server.url) as store:
            assert [sentence for sentence in (await store.inspect()).weaknesses if "1 replica" in sentence]


async def test_a_replica_is_refused_at_the_first_use_and_told_when_it_becomes_one(
    server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "replica").mkdir()
    with redis_server(tmp_path / "replica", "--appendonly", "yes", "--appendfsync", "always") as replica:
        async with opened(replica.url) as store, opened(replica.url) as late:
            assert (await store.inspect()).weaknesses == []
            replica.cli("REPLICAOF", "127.0.0.1", str(server.port))
            (sentence,) = (await store.inspect()).weaknesses
            assert f"Redis at 127.0.0.1:{replica.port} has become a replica" in sentence
            with pytest.raises(Unavailable, match=f"127.0.0.1:{replica.port} is a replica"):
                await late.count()
            replica.cli("REPLICAOF", "NO", "ONE")
            assert (await store.inspect()).weaknesses == []
            assert (await late.count()).num_live == 0


async def test_what_a_managed_server_does_not_tell_is_told(server: RedisServer) -> None:
    server.cli("ACL", "SETUSER", "ann", "on", ">word", "~*", "+@all", "-config")
    async with opened(f"redis://ann:word@127.0.0.1:{server.port}") as store:
        (sentence,) = (await store.inspect()).weaknesses
    assert "could not be checked" in sentence


async def test_every_server_of_a_cluster_is_asked() -> None:
    servers = provided_cluster()
    async with opened(servers[0].url) as store:
        told = "".join((await store.inspect()).weaknesses)
    assert all(str(server.port) in told for server in servers)


async def test_keys_that_were_evicted_are_told_once_and_counted(server: RedisServer) -> None:
    server.cli("DEBUG", "POPULATE", "2000", "key", "1000")
    async with opened(server.url) as store:
        first = await store.inspect()
        assert (first.losses, first.num_evicted) == ([], 0)
        server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.cli("CONFIG", "SET", "maxmemory", "2mb")
        server.cli("SET", "one", "more")
        told = await store.inspect()
        assert told.num_evicted > 0
        (sentence,) = told.losses
        assert f"Redis at 127.0.0.1:{server.port} has evicted {told.num_evicted} keys" in sentence
        again = await store.inspect()
        assert (again.losses, again.num_evicted) == ([], told.num_evicted)


@pytest.mark.parametrize("word", ["FLUSHALL", "FLUSHDB"])
async def test_a_database_that_was_emptied_is_told_once(server: RedisServer, word: str) -> None:
    server.cli(word)
    async with opened(server.url) as store:
        assert not (await store.inspect()).losses
        server.cli(word)
        (sentence,) = (await store.inspect()).losses
        assert "was told to empty a database" in sentence
        assert not (await store.inspect()).losses


async def test_a_server_that_was_restarted_is_told_once(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await store.inspect()
        server.kill()
        with pytest.raises(Unavailable):
            await store.inspect()
        server.start()
        (sentence,) = (await store.inspect()).losses
        assert "was restarted" in sentence
        assert not (await store.inspect()).losses


async def test_every_server_of_a_cluster_is_compared_with_itself() -> None:
    servers = provided_cluster()
    async with opened(servers[0].url) as store:
        await store.inspect()
        assert not (await store.inspect()).losses
        servers[2].cli("FLUSHALL")
        (sentence,) = (await store.inspect()).losses
        assert str(servers[2].port) in sentence


def test_statistics_that_were_reset_are_no_loss() -> None:
    losses = ServerLosses()
    losses.look({"redis:6379": {"run_id": "a", "evicted_keys": "7", "cmdstat_flushall": "calls=3,usec=9"}})
    assert losses.num_evicted == 7
    assert losses.look({"redis:6379": {"run_id": "a", "evicted_keys": "0"}}) == []
    assert losses.num_evicted == 0
    assert len(losses.look({"redis:6379": {"run_id": "a", "evicted_keys": "1"}})) == 1
