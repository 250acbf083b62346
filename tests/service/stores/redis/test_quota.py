"""What one process knows of how many sessions an owner has on Redis."""

import asyncio
from collections import Counter

import pytest

from service.stores.base import QuotaReached
from service.stores.limits import Limits
from service.stores.redis.quota import RedisQuota
from service.stores.redis.room import STALE_SECONDS
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio


class Counts:
    """How many live, read as slowly as a server answers."""

    def __init__(self) -> None:
        self.now = 7.0
        self.num_live: Counter[str] = Counter()
        self.reads: list[str] = []

    async def read(self, owner: str) -> int:
        self.reads.append(owner)
        await asyncio.sleep(0)
        found = self.num_live[owner]
        await asyncio.sleep(0)
        return found


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def quota(counts: Counts) -> RedisQuota:
    return RedisQuota(Limits(max_sessions_per_owner=3), counts.read, lambda: counts.now)


async def open_one(quota: RedisQuota, counts: Counts, owner: str = "ann", written: asyncio.Event | None = None) -> None:
    async with quota.opening({owner: 1}):
        if written is not None:
            await written.wait()
        counts.num_live[owner] += 1


async def test_a_count_is_read_again_only_when_others_may_have_opened_more(quota: RedisQuota, counts: Counts) -> None:
    for _ in range(2):
        await open_one(quota, counts)
    assert counts.reads == ["ann"]
    counts.now += STALE_SECONDS
    await open_one(quota, counts)
    assert counts.reads == ["ann", "ann"]


async def test_nobody_is_refused_by_an_old_count(quota: RedisQuota, counts: Counts) -> None:
    for _ in range(3):
        await open_one(quota, counts)
    with pytest.raises(QuotaReached) as refused:
        await open_one(quota, counts)
    assert (refused.value.num_live, refused.value.max_sessions) == (3, 3)
    counts.num_live["ann"] -= 1
    await open_one(quota, counts)
    assert counts.num_live["ann"] == 3


async def test_what_is_being_opened_takes_room(quota: RedisQuota, counts: Counts) -> None:
    written = asyncio.Event()
    opening = [asyncio.ensure_future(open_one(quota, counts, written=written)) for _ in range(9)]
    await settle()
    await open_one(quota, counts, "eve")
    assert not any(each.done() for each in opening)
    written.set()
    outcomes = await asyncio.gather(*opening, return_exceptions=True)
    assert outcomes.count(None) == counts.num_live["ann"] == 3


async def test_what_could_not_be_opened_gives_its_room_back(quota: RedisQuota, counts: Counts) -> None:
    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            async with quota.opening({"ann": 3}):
                raise OSError("away")
    await open_one(quota, counts)


async def test_one_owner_that_is_refused_keeps_no_room_of_another(quota: RedisQuota, counts: Counts) -> None:
    counts.num_live["eve"] = 3
    with pytest.raises(QuotaReached):
        async with quota.opening({"eve": 1, "ann": 3}):
            pass
    async with quota.opening({"ann": 3}):
        pass


async def test_without_a_quota_nothing_is_read(counts: Counts) -> None:
    async with RedisQuota(Limits(), counts.read).opening({"ann": 10**6}):
        assert counts.reads == []


async def test_few_owners_are_remembered(quota: RedisQuota, counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.stores.redis.quota.MAX_KNOWN_OWNERS", 2)
    written = asyncio.Event()
    busy = asyncio.ensure_future(open_one(quota, counts, "busy", written))
    await settle()
    for owner in ("", "ann", "eve", "ann"):
        await open_one(quota, counts, owner)
    assert set(quota._rooms) == {"busy", "ann"}
    written.set()
    await busy
