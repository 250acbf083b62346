"""A Redis server that is killed, frozen, full or new, and what becomes of the sessions."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.record.ids import new_session_id
from service.stores.base import Full, Record, Swap, Unavailable
from service.stores.limits import Limits
from service.stores.redis import link, room
from service.stores.redis.link import MAX_CONNECTIONS, Reply, ServerLink
from service.stores.redis.script import Command
from service.stores.redis.shard import encoded, shard_of
from service.stores.redis.store import RedisStore
from tests.fakes.stores import NO_LIMITS
from tests.ports import free_port
from tests.redis_server import NEEDS_REDIS, RedisServer, redis_server

pytestmark = [pytest.mark.anyio, NEEDS_REDIS]

IDS = [new_session_id(1000.0 * n) for n in range(8)]
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, *DURABLE) as started:
        yield started


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with opened(server.url) as connected:
        yield connected


@asynccontextmanager
async def opened(url: str, limits: Limits = NO_LIMITS) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, limits)
    yield store
    await store.close()


def record(session_id: str, step: int = 0, body: bytes = b"state") -> Record:
    return Record(session_id, "ann", "echo:1", step, 6000, 600, "", body)


async def create(store: RedisStore) -> list[Record]:
    records = [record(each) for each in IDS]
    assert all(await store.swap([Swap(each, None) for each in records]))
    return records


async def test_every_acknowledged_step_outlives_a_kill(server: RedisServer, store: RedisStore) -> None:
    await create(store)
    for step in range(1, 30):
        assert all(await store.swap([Swap(record(each, step, b"%d" % step * step), step - 1) for each in IDS]))
    server.kill()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}"):
        await store.load(IDS)
    server.start()
    assert await store.load(IDS) == [record(each, 29, b"29" * 29) for each in IDS]
    assert await store.swap([Swap(record(IDS[0], 30), 29)]) == [True]
    assert (await store.count()).num_live == len(IDS)


async def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    async with opened(f"redis://:secret@127.0.0.1:{free_port()}") as absent:
        with pytest.raises(Unavailable) as told:
            await absent.swap([Swap(record(IDS[0]), None)])
        assert "secret" not in str(told.value)
        with pytest.raises(Unavailable):
            await absent.inspect()


@pytest.mark.usefixtures("impatience")
async def test_a_frozen_server_is_not_waited_for(server: RedisServer, store: RedisStore) -> None:
    await create(store)
    server.freeze()
    started = time.monotonic()
    calls = [store.swap([Swap(record(IDS[0], 1), 0)]), store.load(IDS), store.count()]
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, Unavailable)
        assert "does not answer" in str(outcome)
    assert time.monotonic() - started < 3 * link.TIMEOUT_SECONDS
    server.thaw()
    (found,) = await store.load(IDS[:1])
    assert isinstance(found, Record)
    assert await store.swap([Swap(record(IDS[0], found.step + 1), found.step)]) == [True]


async def test_a_server_without_memory_is_read_from_and_takes_tombstones(
    server: RedisServer, store: RedisStore
) -> None:
    records = await create(store)
    assert await store.note_once("name", b"kept") == b"kept"
    server.cli("CONFIG", "SET", "maxmemory", "1")
    assert await store.note_once("name", b"other") == b"kept"
    with pytest.raises(Unavailable, match="memory is full"):
        await store.swap([Swap(record(IDS[0], 1), 0)])
    assert await store.load(IDS) == records
    assert len(await store.idlest(9)) == len(IDS)
    await store._index.rebuild({shard_of(encoded(each)) for each in IDS})
    tombstone = record(IDS[1], 1, b"")._replace(ended="expired")
    assert await store.swap([Swap(tombstone, 0)]) == [True]
    await store.delete(IDS[2:3])
    server.cli("CONFIG", "SET", "maxmemory", "0")
    assert await store.swap([Swap(record(IDS[0], 1), 0)]) == [True]
    assert await store.load(IDS[:4]) == [record(IDS[0], 1), tombstone, None, records[3]]
    assert (await store.count()).num_live == len(IDS) - 2


async def test_a_server_that_cannot_write_to_its_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    with redis_server(tmp_path / "gone") as server:
        async with opened(server.url) as store:
            records = await create(store)
            server.cli("CONFIG", "SET", "save", "3600 1")
            (tmp_path / "gone").rmdir()
            server.cli("BGSAVE")
            while "rdb_last_bgsave_status:ok" in server.cli("INFO", "persistence"):
                pass
            with pytest.raises(Unavailable, match="cannot write to its disk"):
                await store.swap([Swap(record(IDS[0], 1), 0)])
            assert await store.load(IDS) == records


async def test_a_replica_is_not_written_to(server: RedisServer, store: RedisStore) -> None:
    records = await create(store)
    server.cli("REPLICAOF", "127.0.0.1", str(free_port()))
    with pytest.raises(Unavailable, match="replica"):
        await store.swap([Swap(record(IDS[0], 1), 0)])
    server.cli("REPLICAOF", "NO", "ONE")
    assert await store.load(IDS) == records
    assert await store.swap([Swap(record(IDS[0], 1), 0)]) == [True]


async def test_scripts_that_the_server_has_forgotten_are_sent_again(server: RedisServer, store: RedisStore) -> None:
    await create(store)
    for step in range(1, 4):
        server.cli("SCRIPT", "FLUSH")
        assert all(await store.swap([Swap(record(each, step), step - 1) for each in IDS]))
        server.cli("SCRIPT", "FLUSH")
        assert len(await store.page("ann", "", 99)) == len(IDS)


async def test_connections_that_the_server_has_closed_are_not_used(server: RedisServer, store: RedisStore) -> None:
    records = await create(store)
    server.cli("CLIENT", "KILL", "TYPE", "normal")
    for _ in range(3):
        await asyncio.sleep(0)  # the event loop hears of it
    assert await store.load(IDS) == records


async def test_more_callers_than_connections_wait_for_one_another(store: RedisStore) -> None:
    records = await create(store)
    calls = (store.load(IDS) for _ in range(5 * MAX_CONNECTIONS))
    assert all(found == records for found in await asyncio.gather(*calls))


async def test_wrong_credentials_are_told(server: RedisServer) -> None:
    server.cli("CONFIG", "SET", "requirepass", "right")
    async with opened(f"redis://:wrong-one@127.0.0.1:{server.port}") as store:
        with pytest.raises(Unavailable) as told:
            await store.load(IDS)
    assert "wrong-one" not in str(told.value)
    async with opened(f"redis://:right@127.0.0.1:{server.port}") as store:
        assert await store.load(IDS[:1]) == [None]


async def test_a_full_store_counts_what_others_have_freed(server: RedisServer) -> None:
    async with opened(server.url, Limits(2)) as one, opened(server.url, Limits(2)) as other:
        assert all(await one.swap([Swap(record(each), None) for each in IDS[:2]]))
        with pytest.raises(Full):
            await other.swap([Swap(record(IDS[2]), None)])
        await one.delete(IDS[:1])
        assert await other.swap([Swap(record(IDS[2]), None)]) == [True]


async def test_what_was_written_though_its_answer_was_lost_takes_room(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "STALE_SECONDS", 1000.0)
    async with opened(server.url, Limits(2)) as store:
        assert await store.swap([Swap(record(IDS[0]), None)]) == [True]
        run = store._connection.run

        async def run_in_vain(commands: Sequence[Command]) -> list[Reply]:
            await run(commands)
            raise Unavailable("its answer was lost")

        with monkeypatch.context() as patched:
            patched.setattr(store._connection, "run", run_in_vain)
            with pytest.raises(Unavailable, match="lost"):
                await store.swap([Swap(record(IDS[1]), None)])
        with pytest.raises(Full):
            await store.swap([Swap(record(IDS[2]), None)])


async def test_what_a_step_adds_to_a_record_takes_room(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STALE_SECONDS", 1000.0)
    async with opened(server.url, Limits(max_bytes=100)) as store:
        assert await store.swap([Swap(record(IDS[0]), None)]) == [True]
        assert await store.swap([Swap(record(IDS[0], 1, bytes(98)), 0)]) == [True]
        with pytest.raises(Full):
            await store.swap([Swap(record(IDS[1]), None)])


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:port",
        "redis://:hunter@host/0?nonsense=1",
        "redis://h?socket_timeout=x",
        "redis://host:6379/hunter",
        "redis://host/1/2",
    ],
)
def test_a_url_that_is_not_valid_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is not valid") as told:
        RedisStore(url, NO_LIMITS)
    assert "hunter" not in str(told.value)


async def test_a_server_that_has_become_a_replica_is_left_on_every_connection(
    server: RedisServer, store: RedisStore
) -> None:
    await asyncio.gather(*(store.load(IDS[:1]) for _ in range(5)))
    way = store._connection._link
    assert isinstance(way, ServerLink)
    server.cli("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(Unavailable, match="it is a replica"):
        await store.swap([Swap(record(IDS[0]), None)])
    assert not any(connection.is_connected for connection in way._pool._available_connections)
    server.cli("REPLICAOF", "NO", "ONE")
    assert await store.swap([Swap(record(IDS[0]), None)]) == [True]
