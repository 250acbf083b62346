"""Sessions that have lived as long as one may, however they are used: in each store they are over to the minute."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.errors import SessionGone, SessionQuota
from service.forms.sessions import ForkRequest
from service.record.body import decode, encode
from service.stores.base import Record, Store, Swap
from tests.fakes.clock import Clock
from tests.fakes.process import Process
from tests.service.stores.conftest import QUOTA

pytestmark = pytest.mark.anyio

LIFETIME, IDLE = 300, 100
LIFE_IS_OVER = "1970-01-01T00:21:40+00:00"


@asynccontextmanager
async def serving(store: Store, clock: Clock, lifetime: int = LIFETIME, **more: object) -> AsyncIterator[Process]:
    limits = {"max_session_lifetime_seconds": lifetime, "session_ttl_seconds": IDLE, **more}
    async with Process(store, clock, **limits) as process:
        yield process


@pytest.fixture
async def process(shared_out: Store) -> AsyncIterator[Process]:
    async with serving(shared_out, Clock()) as opened:
        yield opened


async def lived(process: Process, *seconds: int) -> str:
    """A session of Ann's that has taken a step after each of so many seconds."""
    session_id = await process.create()
    for each in seconds:
        process.clock.now += each
        await process.text(session_id, "a")
    return session_id


async def stored(store: Store, session_id: str) -> Record:
    (record,) = await store.load([session_id])
    assert isinstance(record, Record)
    return record


async def test_the_sweep_ends_a_session_that_is_in_use_once_its_life_is_over(
    process: Process, shared_out: Store
) -> None:
    session_id = await lived(process, 90, 90, 90, 20)
    process.clock.now = 1299
    await process.housekeeping.sweep()
    assert (await shared_out.count()).num_live == await shared_out.count_of("ann") == 1
    process.clock.now = 1300 + 60  # overdue records are found at most a minute late
    await process.housekeeping.sweep()
    assert (await shared_out.count()).num_live == await shared_out.count_of("ann") == 0
    assert (await stored(shared_out, session_id)).ended == "expired"
    assert process.metrics.registry.get_sample_value("rnn_sessions_ended_total", {"reason": "expired"}) == 1


async def test_it_makes_room_in_its_owners_quota_at_once(process: Process) -> None:
    assert QUOTA == 2
    session_id = await lived(process, 90, 90, 90)
    await process.create()
    process.clock.now = 1299
    await process.housekeeping.sweep()
    with pytest.raises(SessionQuota):
        await process.create()
    process.clock.now = 1300
    await process.create()
    with pytest.raises(SessionGone, match="expired"):
        await process.text(session_id, "a")


async def test_every_step_tells_the_earlier_end(process: Process) -> None:
    session_id = await process.create()
    told = []
    for _ in range(4):
        told.append((await process.sessions.get("ann", session_id)).expires_at)
        process.clock.now += 70
        await process.text(session_id, "a")
        assert (await process.sessions.page("ann", "", 5)).sessions == [await process.sessions.get("ann", session_id)]
    await process.transitions.save("ann", session_id, "here")
    view = await process.sessions.get("ann", session_id)
    told.append(view.expires_at)
    assert view.ttl_seconds == IDLE
    assert told == [f"1970-01-01T00:{time}+00:00" for time in ("18:20", "19:30", "20:40", "21:40", "21:40")]


async def test_who_may_be_idle_for_longer_than_its_life_is_told_so_from_the_start(
    process: Process, shared_out: Store
) -> None:
    async with serving(shared_out, process.clock, lifetime=50) as brief:
        session_id = await brief.create()
        assert (await brief.sessions.get("ann", session_id)).expires_at == "1970-01-01T00:17:30+00:00"
        brief.clock.now += 49
        await brief.text(session_id, "a")
        assert (await stored(shared_out, session_id)).expires_at == 1050


async def test_a_fork_and_an_export_have_the_time_that_their_origin_may_be_idle(
    process: Process, shared_out: Store
) -> None:
    session_id = await lived(process, 90, 90)
    await process.transitions.save("ann", session_id, "here")
    process.clock.now += 90
    await process.text(session_id, "a")
    process.clock.now += 20
    await process.text(session_id, "a")
    assert (await stored(shared_out, session_id)).ttl_seconds == 10
    for request in (ForkRequest(), ForkRequest(checkpoint="here")):
        fork = await process.transfers.fork("ann", session_id, request)
        assert (await stored(shared_out, fork.session_id)).ttl_seconds == IDLE
        await process.sessions.end("ann", fork.session_id)
    taken_in = await process.transfers.import_session("bob", await process.transfers.export("ann", session_id))
    assert (await stored(shared_out, taken_in.session_id)).ttl_seconds == IDLE


async def test_what_an_older_version_wrote_goes_on_and_is_over_to_the_minute_once_it_is_used(
    process: Process, shared_out: Store
) -> None:
    session_id = await lived(process, 90, 90, 90)
    written = await stored(shared_out, session_id)
    older = written._replace(ttl_seconds=IDLE, body=encode(decode(written.body)._replace(idle_seconds=0)))
    assert await shared_out.swap([Swap(older._replace(step=4), 3)]) == [True]
    assert (await process.sessions.get("ann", session_id)).expires_at == LIFE_IS_OVER
    process.clock.now += 10
    await process.text(session_id, "a")
    assert (await stored(shared_out, session_id)).expires_at == 1300
    assert (await process.sessions.load("ann", session_id)).idle_seconds == IDLE
    process.clock.now = 1360
    await process.housekeeping.sweep()
    assert await shared_out.count_of("ann") == 0


async def test_an_older_replica_ends_no_session_before_its_life_is_over(process: Process, shared_out: Store) -> None:
    session_id = await lived(process, 90, 90, 90)
    written = await stored(shared_out, session_id)
    body = decode(written.body)._replace(idle_seconds=0)  # which it does not know
    step = written._replace(step=written.step + 1, used_at=1290, body=encode(body))
    assert await shared_out.swap([Swap(step, written.step)]) == [True]
    process.clock.now = 1299
    assert (await process.text(session_id, "a")).step == 5
    assert (await process.sessions.get("ann", session_id)).expires_at == LIFE_IS_OVER


async def test_another_lifetime_holds_from_the_next_step_on(process: Process, shared_out: Store) -> None:
    session_id = await lived(process, 90, 90, 90)
    async with serving(shared_out, process.clock, lifetime=1000) as longer:
        assert (await longer.sessions.get("ann", session_id)).expires_at == LIFE_IS_OVER
        await longer.text(session_id, "a")
        assert (await longer.sessions.get("ann", session_id)).expires_at == "1970-01-01T00:22:50+00:00"
    async with serving(shared_out, process.clock, lifetime=280) as shorter:
        assert (await shorter.sessions.get("ann", session_id)).expires_at == "1970-01-01T00:21:20+00:00"
        shorter.clock.now += 10
        assert (await shorter.sessions.page("ann", "", 5)).sessions == []
        with pytest.raises(SessionGone, match="expired"):
            await shorter.text(session_id, "a")
