"""Sessions outlive a wall clock that is set wrong for a while, those that are used meanwhile too."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.errors import SessionGone
from service.forms.sessions import RollbackRequest
from service.process.wall_clock import DOUBT_SECONDS, WallClock
from service.stores.base import Store
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from service.stores.memory import MemoryStore
from tests.fakes.clock import Clock
from tests.fakes.process import Process

pytestmark = pytest.mark.anyio

DAY = 86400.0
TTL = 100
LIMITS = {"session_ttl_seconds": TTL, "max_session_ttl_seconds": 2 * TTL}


class Machine:
    """A process, and the clocks that it reads."""

    def __init__(self, store: Store) -> None:
        self.wall, self.boot = Clock(1e9), Clock(500.0)
        self.process = self.started(store)

    def started(self, store: Store) -> Process:
        clock = WallClock(self.wall, self.boot)
        return Process(store, self.wall, wall_clock=clock, max_cached_sessions=16, **LIMITS)

    def pass_by(self, seconds: float) -> None:
        self.wall.now += seconds
        self.boot.now += seconds


@pytest.fixture(params=["lmdb", "memory"])
async def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machine]:
    store = LmdbStore(tmp_path, Limits()) if request.param == "lmdb" else MemoryStore(Limits())
    machine = Machine(store)
    async with machine.process:
        yield machine
    await store.close()


async def is_over(process: Process, session_id: str) -> bool:
    try:
        await process.sessions.get("ann", session_id)
    except SessionGone as gone:
        return gone.reason == "expired"
    return False


@pytest.mark.parametrize("jump", [30 * DAY, 2 * TTL, -2 * TTL, -400 * DAY])
async def test_sessions_outlive_a_clock_that_is_wrong_for_a_while(machine: Machine, jump: float) -> None:
    process = machine.process
    idle, used = await process.create(ttl_seconds=2 * TTL), await process.create()
    await process.transitions.save("ann", idle, "here", 0)
    machine.wall.now += jump
    for step in range(5):  # longer than the one that is used may be idle
        assert await process.housekeeping.sweep() == 0
        await process.text(used, "a", step)
        assert (await process.sessions.get("ann", used)).step == step + 1
        machine.pass_by(TTL / 4)
    begun = await process.create()
    machine.wall.now -= jump
    machine.pass_by(TTL / 4)
    assert await process.housekeeping.sweep() == 0
    await process.text(used, "a", 5)
    await process.text(begun, "a", 0)
    await process.transitions.roll_back("ann", idle, RollbackRequest(checkpoint="here", step=1))


async def test_a_checkpoint_is_saved_while_the_clock_is_beyond_the_life_of_its_session(machine: Machine) -> None:
    process = machine.process
    session_id = await process.create()
    machine.wall.now += 400 * DAY
    await process.transitions.save("ann", session_id, "here", 0)
    machine.wall.now -= 400 * DAY
    await process.transitions.roll_back("ann", session_id, RollbackRequest(checkpoint="here", step=1))


async def test_what_has_expired_by_both_clocks_has_expired(machine: Machine) -> None:
    process = machine.process
    session_id = await process.create()
    machine.wall.now += DAY
    machine.pass_by(TTL + 60)
    assert await process.housekeeping.sweep() == 1
    assert await is_over(process, session_id)


async def test_a_clock_that_stays_as_it_was_set_ends_idle_sessions_and_no_others(machine: Machine) -> None:
    process = machine.process
    idle, used = await process.create(), await process.create()
    machine.wall.now += 20 * DAY
    for step in range(DOUBT_SECONDS // 60 + 1):
        await process.text(used, "a", step)
        machine.pass_by(60)
    assert await process.housekeeping.sweep() == 1
    assert await is_over(process, idle)
    assert not await is_over(process, used)


async def test_a_large_sweep_is_logged(
    machine: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.sessions.housekeeping.MANY_OVERDUE", 20)
    for num_overdue, messages in (
        (19, []),
        (20, ["20 sessions, ends and checkpoints were overdue"]),
    ):
        for _ in range(num_overdue):
            await machine.process.create()
        machine.pass_by(TTL + 60)
        with caplog.at_level(logging.INFO, "service.sessions"):
            await machine.process.housekeeping.sweep()
        assert caplog.messages == messages
        machine.pass_by(3600)
        await machine.process.housekeeping.sweep()
        caplog.clear()
