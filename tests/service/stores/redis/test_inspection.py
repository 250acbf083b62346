"""What the log is told of servers: what their configuration may lose, and what they have lost."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.stores.base import Unavailable
from service.stores.limits import Limits
from service.stores.redis.inspection import FILE_IS_COMPLETE, Info, ServerLosses, weaknesses_of
from service.stores.redis.store import RedisStore
from tests.ports import free_port
from tests.redis_server import NEEDS_REDIS, REPOSITORY, RedisServer, provided_cluster, redis_server
from tests.service.stores.redis.opening import opened
from tests.waiting import until

pytestmark = [pytest.mark.anyio, NEEDS_REDIS]

DOCS = REPOSITORY / "docs"
SLOW_SERVER = """#!/bin/sh
sleep 1  # until it takes connections
exec {} "$@" --key-load-delay 300 --rdb-key-save-delay 300
"""


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
        ("noeviction", ["650", "700"], False),
        ("noeviction", ["600", "700"], True),
        ("noeviction", ["600", "0"], True),
        ("noeviction", ["0", "650"], False),
        ("allkeys-lru", ["600"], False),
    ],
)
def test_servers_that_are_full_before_they_hold_what_they_may_are_told(
    policy: str, sizes: list[str], is_told: bool
) -> None:
    told = {"aof_enabled": "1", "maxmemory_policy": policy}
    infos = {f"redis:{n}": {**told, "maxmemory": size} for n, size in enumerate(sizes)}
    smallest = min((size for size in sizes if size != "0"), key=int, default="")
    assert bool([each for each in told_of(infos) if f"maxmemory is {smallest}" in each]) == is_told


def told_of(infos: dict[str, Info | None]) -> list[str]:
    """What is told of servers that sync each write, and may hold 1000 bytes of state."""
    return weaknesses_of(infos, {each: [b"appendfsync", b"always"] for each in infos}, 1000)


def test_whether_servers_are_too_small_is_not_told_if_not_all_tell_their_size() -> None:
    small = {"aof_enabled": "1", "maxmemory": "600"}
    for infos in ({"a:1": None}, {"a:1": small, "b:1": None}, {}):
        assert not [each for each in told_of(infos) if "maxmemory" in each]


def test_the_same_is_told_of_servers_that_are_too_small_under_other_addresses() -> None:
    small = {"aof_enabled": "1", "maxmemory": "600"}
    assert told_of({"a:1": small, "b:1": small}) == told_of({"c:1": small, "b:1": small}) != []


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({}, False),
        ({"aof_rewrite_in_progress": "1"}, False),
        ({"aof_rewrite_in_progress": "1", "aof_base_size": "0"}, True),
        ({"aof_rewrite_scheduled": "1", "aof_base_size": "0"}, True),
        ({"aof_base_size": "0"}, False),
        ({"aof_last_bgrewrite_status": "err"}, True),
    ],
)
def test_an_append_only_file_that_may_not_be_complete_is_told(changes: dict[str, str], is_told: bool) -> None:
    complete = {"aof_enabled": "1", "aof_rewrite_in_progress": "0", "aof_rewrite_scheduled": "0", "aof_base_size": "9"}
    told = told_of({"redis:6379": {**complete, "aof_last_bgrewrite_status": "ok", **changes}})
    assert bool(told) == is_told
    assert all("is not complete yet" in each and FILE_IS_COMPLETE in each for each in told)


async def test_a_server_that_is_smaller_than_the_store_may_be_is_told(server: RedisServer) -> None:
    store = RedisStore(server.url, Limits(max_bytes=2**30))
    server.cli("CONFIG", "SET", "maxmemory", "1gb")
    (sentence,) = (await store.inspect()).weaknesses
    assert sentence.startswith("Redis may be full before it holds")
    await store.close()


async def test_what_is_advised_keeps_the_sessions(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--rdb-key-save-delay", "300")
    server.cli("SET", "a", "session")
    server.cli("DEBUG", "POPULATE", "2000")
    server.cli("BGSAVE")
    async with opened(server.url) as store:
        (sentence,) = (await store.inspect()).weaknesses
        advised = re.findall(r"CONFIG SET (\w+) (\w+)", sentence)
        assert len(advised) == 2
        for setting in advised:
            server.cli("CONFIG", "SET", *setting)
        assert "aof_rewrite_scheduled:1" in server.cli("INFO", "persistence")
        (incomplete,) = (await store.inspect()).weaknesses
        assert "is not complete yet" in incomplete
    for advice in (sentence, incomplete, (DOCS / "sessions.md").read_text().replace("`", "")):
        assert all(field in advice for field in fields_of(FILE_IS_COMPLETE))
    until(lambda: is_complete(server), 60, "the file is complete")
    server.kill()
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as restarted:
        assert restarted.cli("GET", "a") == "session"
        async with opened(restarted.url) as store:
            assert (await store.inspect()).weaknesses == []


def fields_of(advice: str) -> list[str]:
    return re.findall(r"aof_\w+:\w+", advice)


def is_complete(server: RedisServer) -> bool:
    return set(fields_of(FILE_IS_COMPLETE)) <= set(fields_of(server.cli("INFO", "persistence")))


def test_a_dump_is_restored_by_the_documented_commands(tmp_path: Path) -> None:
    dump, restored, tools = tmp_path / "dump.rdb", tmp_path / "restored", tmp_path / "tools"
    with redis_server(tmp_path) as server:
        server.cli("SET", "a", "session")
        server.cli("DEBUG", "POPULATE", "3000")
        server.cli("--rdb", str(dump))
    content = dump.read_bytes()
    (commands,) = (each for each in re.findall(r"```bash\n(.+?)```", (DOCS / "sessions.md").read_text(), re.DOTALL)
                   if "cp dump.rdb" in each)  # fmt: skip
    commands = commands.replace("6390", str(free_port())).replace("/restored", str(restored))
    tools.mkdir()
    (tools / "redis-server").write_text(SLOW_SERVER.format(shutil.which("redis-server")))
    (tools / "redis-server").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    words = ["bash", "-euc", commands + "wait\n"]
    with subprocess.Popen(words, cwd=tmp_path, env=environment, start_new_session=True) as restoring:  # noqa: S603
        try:
            assert restoring.wait(60) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(restoring.pid, signal.SIGKILL)
    assert dump.read_bytes() == content
    with redis_server(restored, "--appendonly", "yes") as restarted:
        assert (restarted.cli("GET", "a"), restarted.cli("DBSIZE")) == ("session", "3001")


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


def server_of(run_id: str, history: str, former: str = "0") -> Info:
    return {"run_id": run_id, "master_replid": history, "master_replid2": former}


def test_a_server_that_holds_the_data_of_one_that_is_gone_was_not_restarted() -> None:
    losses = ServerLosses()
    losses.look({"a:1": server_of("a", "one"), "b:1": server_of("b", "two")})
    (sentence,) = losses.look({"a:1": server_of("a", "one"), "c:1": server_of("c", "three", "two")})
    assert sentence.startswith("Redis at c:1 holds the data of b:1 now")
    (sentence,) = losses.look({"a:1": server_of("a", "one"), "b:1": server_of("again", "four", "three")})
    assert sentence.startswith("Redis at b:1 holds the data of c:1 now")
    (sentence,) = losses.look({"a:1": server_of("a", "one"), "b:1": server_of("more", "five", "four")})
    assert "was restarted" in sentence


def test_a_replica_that_becomes_an_empty_primary_has_not_taken_over_one_that_lives() -> None:
    losses = ServerLosses()
    living = {"a:1": server_of("a", "one"), "b:1": server_of("b", "two")}
    losses.look(living)
    assert losses.look({**living, "c:1": server_of("c", "three", "two")}) == []
