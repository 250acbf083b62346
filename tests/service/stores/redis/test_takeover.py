"""Servers of a cluster that die or are cast out, and others that take their shards over."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.record.ids import new_session_id
from service.stores.base import Record, Swap, Unavailable
from service.stores.limits import Limits
from service.stores.redis.cluster import ClusterLink
from service.stores.redis.shard import encoded, shard_of
from service.stores.redis.store import RedisStore
from tests.ports import free_port
from tests.redis_server import NEEDS_REDIS, RedisServer, await_cluster, redis_cluster, redis_server
from tests.waiting import until

pytestmark = [pytest.mark.anyio, NEEDS_REDIS]

IDS = [new_session_id(1000.0 * n) for n in range(64)]
RECORDS = [Record(each, "ann", "echo:1", 0, 6000, 600, "", b"state") for each in IDS]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[RedisServer]]:
    with redis_cluster(tmp_path) as started:
        yield started


@pytest.fixture
async def store(servers: list[RedisServer]) -> AsyncIterator[RedisStore]:
    opened = RedisStore(servers[0].url, Limits())
    assert all(await opened.swap([Swap(each, None) for each in RECORDS]))
    yield opened
    await opened.close()


def kill(server: RedisServer) -> None:
    server.kill()


def cast_out(server: RedisServer) -> None:
    """Let it know of no other, as if it could reach none: it has no shards, and never hears who has them."""
    server.cli("FLUSHALL")
    server.cli("CLUSTER", "RESET", "HARD")


def take_over(heir: RedisServer, other: RedisServer, slots: list[str]) -> None:
    for each in (heir, other):
        each.cli("CLUSTER", "DELSLOTSRANGE", *slots)
    heir.cli("CLUSTER", "ADDSLOTSRANGE", *slots)
    await_cluster(heir, other)


def slots_of(server: RedisServer) -> list[str]:
    (line,) = (line for line in server.cli("CLUSTER", "NODES").splitlines() if "myself" in line)
    return line.split()[-1].split("-")


def replica_of(server: RedisServer, replica: RedisServer) -> None:
    """Let an empty server of the cluster follow another one."""
    bus = server.cli("CONFIG", "GET", "cluster-port").split()[1]
    replica.cli("CLUSTER", "MEET", "127.0.0.1", str(server.port), bus)
    myself = server.cli("CLUSTER", "MYID")
    until(lambda: myself in replica.cli("CLUSTER", "NODES"), 60, "the replica knows the cluster")
    replica.cli("CLUSTER", "REPLICATE", myself)
    until(lambda: "master_link_status:up" in replica.cli("INFO", "replication"), 60, "the replica follows")


def records_on(store: RedisStore, server: RedisServer) -> list[Record]:
    way = store._connection._link
    assert isinstance(way, ClusterLink)
    return [each for each in RECORDS if way._node_of(shard_of(encoded(each.session_id))).port == server.port]


def ids_of(records: list[Record]) -> list[str]:
    return [each.session_id for each in records]


@pytest.mark.parametrize(("lose", "reason"), [(kill, "cannot be used"), (cast_out, "the cluster is down")])
async def test_shards_that_another_server_has_taken_over_are_found_there(
    servers: list[RedisServer], store: RedisStore, lose: Callable[[RedisServer], None], reason: str
) -> None:
    heir, other, lost = servers
    kept, gone = [*records_on(store, heir), *records_on(store, other)], records_on(store, lost)
    slots = slots_of(lost)
    lose(lost)
    with pytest.raises(Unavailable, match=reason):
        await store.load(ids_of(gone))
    take_over(heir, other, slots)
    with suppress(Unavailable):  # the map of shards was perhaps read again before
        await store.load(ids_of(gone))
    assert await store.load(ids_of(gone)) == [None] * len(gone)
    assert all(await store.swap([Swap(each, None) for each in gone]))
    assert await store.load(ids_of(kept + gone)) == kept + gone
    assert records_on(store, lost) == []


async def test_a_replica_that_takes_shards_over_is_told_once(
    servers: list[RedisServer], store: RedisStore, tmp_path: Path
) -> None:
    (tmp_path / "replica").mkdir()
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--repl-diskless-sync-delay", "0")
    with redis_server(tmp_path / "replica", *options) as replica:
        replica_of(servers[1], replica)
        assert (await store.inspect()).losses == []
        servers[1].kill()
        replica.cli("CLUSTER", "FAILOVER", "TAKEOVER")
        await_cluster(servers[0], servers[2], replica)
        inspection = None
        while inspection is None:
            with suppress(Unavailable):
                inspection = await store.inspect()
        (sentence,) = inspection.losses
        assert f"127.0.0.1:{replica.port} holds the data of 127.0.0.1:{servers[1].port} now" in sentence
        assert (await store.inspect()).losses == []
        assert await store.load(IDS) == RECORDS
