"""Machines whose clocks are apart go by the server's."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.record.ids import new_session_id
from service.stores.base import Record, Swap
from service.stores.redis.clock import ServerClock
from service.stores.redis.store import RedisStore
from tests.fakes.clock import Clock
from tests.redis_server import NEEDS_REDIS, RedisServer, provided_cluster, redis_server
from tests.service.stores.redis.opening import opened

pytestmark = pytest.mark.anyio
A_DAY = 86400.0
# A machine under test may be slow; the clocks below are apart for longer.
PATIENCE_SECONDS = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as started:
        yield started


def time_of(server: RedisServer) -> int:
    return int(server.cli("TIME").splitlines()[0])


def put_ahead(store: RedisStore) -> None:
    store._clock.set(time.time() + A_DAY, store._clock.uptime())


def test_a_clock_goes_by_the_machine_s_until_the_server_has_told() -> None:
    wall = Clock(7.0)
    clock = ServerClock(wall, Clock(3.0))
    assert (clock(), clock.is_known) == (7.0, False)
    wall.now = 1e9  # NTP sets it right
    assert (clock(), clock.is_known) == (1e9, False)


def test_the_server_read_its_clock_half_way_between_question_and_answer() -> None:
    uptime = Clock(3.0)
    clock = ServerClock(Clock(7.0), uptime)
    uptime.now = 5.0
    clock.set(1000.0, 3.0)
    assert (clock(), clock.is_known) == (1001.0, True)
    uptime.now = 15.0
    assert clock() == 1011.0


def test_setting_the_machine_s_clock_then_changes_nothing() -> None:
    wall = Clock(7.0)
    clock = ServerClock(wall, Clock(3.0))
    clock.set(1000.0, 3.0)
    wall.now = 1e9
    assert clock() == 1000.0


@NEEDS_REDIS
async def test_a_machine_whose_clock_is_apart_expires_nothing_that_is_in_use(server: RedisServer) -> None:
    async with opened(server.url) as store, opened(server.url) as apart:
        apart._clock._wall = lambda: time.time() + A_DAY
        await apart.count()
        record = Record(new_session_id(0), "ann", "echo:1", 0, time_of(server), 600, "", b"state")
        assert await store.swap([Swap(record, None)]) == [True]
        assert await apart.overdue(int(apart.clock()), 10) == []


@NEEDS_REDIS
async def test_a_clock_that_drifts_is_set_right_at_each_inspection(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await store.count()
        put_ahead(store)
        await store.inspect()
        assert abs(store.clock() - time_of(server)) < PATIENCE_SECONDS


@NEEDS_REDIS
async def test_the_servers_of_a_cluster_tell_one_time() -> None:
    servers = provided_cluster()
    async with opened(servers[2].url) as store:
        put_ahead(store)
        await store.count()
        assert abs(store.clock() - time_of(servers[0])) < PATIENCE_SECONDS


@NEEDS_REDIS
async def test_a_server_that_may_not_tell_its_time_is_used_all_the_same(server: RedisServer) -> None:
    server.cli("ACL", "SETUSER", "ann", "on", ">word", "~*", "+@all", "-time")
    async with opened(f"redis://ann:word@127.0.0.1:{server.port}") as store:
        assert (await store.count()).num_live == 0
        (sentence,) = (await store.inspect()).weaknesses
        assert "TIME is not allowed" in sentence
        assert not store._clock.is_known


@NEEDS_REDIS
async def test_a_server_without_the_command_is_used_all_the_same(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--rename-command", "TIME", "") as started:
        async with opened(started.url) as store:
            assert (await store.count()).num_live == 0
            assert not store._clock.is_known
