"""What one process knows of how much room there is."""

import asyncio

import pytest

from service.stores.base import Count, Full
from service.stores.limits import Limits
from service.stores.redis.room import NOTHING, STALE_SECONDS, Room
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio
ONE = Count(1, 10)


class Counts:
    """What there is, counted as slowly as a server answers; `may_answer` when a test says so."""

    def __init__(self) -> None:
        self.now = 7.0
        self.taken = NOTHING
        self.num_reads = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def read(self) -> Count:
        self.num_reads += 1
        await asyncio.sleep(0)
        found = self.taken
        await self.may_answer.wait()
        return found


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def room(counts: Counts) -> Room:
    return Room(counts.read, Limits(max_sessions=5, max_bytes=100).refusal, lambda: counts.now)


async def open_one(room: Room, counts: Counts, written: asyncio.Event | None = None) -> None:
    async with room.opening(ONE):
        if written is not None:
            await written.wait()
        counts.taken = counts.taken.plus(ONE)
        room.add(ONE)


async def test_counts_are_stale_until_they_have_been_read_and_a_while_after(room: Room, counts: Counts) -> None:
    for _ in range(2):
        await open_one(room, counts)
    assert counts.num_reads == 1
    counts.now += STALE_SECONDS / 2
    await open_one(room, counts)
    assert counts.num_reads == 1
    counts.now += STALE_SECONDS / 2
    await open_one(room, counts)
    assert counts.num_reads == 2


async def test_own_changes_count_at_once(room: Room, counts: Counts) -> None:
    for _ in range(5):
        await open_one(room, counts)
    with pytest.raises(Full, match="5 of 5 sessions live"):
        await open_one(room, counts)
    counts.taken = Count(4, 40)
    room.add(Count(-1, -10))
    assert counts.num_reads == 2
    await open_one(room, counts)
    assert counts.num_reads == 2


async def test_nobody_is_refused_by_an_old_count(room: Room, counts: Counts) -> None:
    for _ in range(5):
        await open_one(room, counts)
    counts.taken = Count(4, 95)
    with pytest.raises(Full, match="95 of 100 bytes are taken"):
        await open_one(room, counts)
    counts.taken = Count(4, 90)
    await open_one(room, counts)


async def test_of_many_that_are_opened_at_once_each_takes_its_room(room: Room, counts: Counts) -> None:
    written = asyncio.Event()
    opening = [asyncio.ensure_future(open_one(room, counts, written)) for _ in range(9)]
    await settle()
    assert not any(each.done() for each in opening)
    written.set()
    outcomes = await asyncio.gather(*opening, return_exceptions=True)
    assert outcomes.count(None) == counts.taken.num_live == 5


async def test_what_is_opened_while_it_is_counted_takes_its_room(room: Room, counts: Counts) -> None:
    for _ in range(4):
        await open_one(room, counts)
    written = asyncio.Event()
    fifth = asyncio.ensure_future(open_one(room, counts, written))
    await settle()
    counts.now += STALE_SECONDS
    counts.may_answer.clear()
    sixth = asyncio.ensure_future(open_one(room, counts))
    await settle()
    written.set()
    await fifth
    counts.may_answer.set()
    with pytest.raises(Full):
        await sixth


async def test_nobody_is_refused_by_what_is_written_and_still_being_opened(room: Room, counts: Counts) -> None:
    counts.taken = Count(3, 30)
    async with room.opening(ONE):
        counts.taken = counts.taken.plus(ONE)
        counts.now += STALE_SECONDS
        fifth = asyncio.ensure_future(open_one(room, counts))
        await settle()
        assert not fifth.done()
    await fifth


async def test_what_could_not_be_opened_gives_its_room_back(room: Room, counts: Counts) -> None:
    for _ in range(9):
        with pytest.raises(OSError, match="away"):
            async with room.opening(Count(5, 100)):
                raise OSError("away")
    assert counts.num_reads == 1
    assert room.is_unused


async def test_a_write_whose_outcome_is_unknown_has_it_counted_again(room: Room, counts: Counts) -> None:
    await open_one(room, counts)
    room.forget()
    await open_one(room, counts)
    assert counts.num_reads == 2
