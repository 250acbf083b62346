"""Burials that nobody waits for, however often and of however many sessions they are asked for."""

import asyncio
import logging

import pytest

from service.errors import SessionGone
from service.sessions import burials
from service.sessions.graveyard import BURIED_AT_ONCE
from tests.fakes.process import Process, settle, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def ask_in_vain(process: Process, ids: list[str]) -> None:
    """A step of each of some sessions that are over."""
    results = await asyncio.gather(*(process.text(each, "a") for each in ids), return_exceptions=True)
    assert {type(each).__mro__[1] for each in results} == {SessionGone}


async def over(process: Process, num: int) -> list[str]:
    """Sessions whose time is over, and which nobody has buried."""
    ids = [await process.create() for _ in range(num)]
    process.clock.now += 10
    return ids


async def test_who_asks_again_and_again_leaves_no_work_behind_while_writes_hang(
    process: Process, store: FaultyStore
) -> None:
    ids = await over(process, 3)
    store.may_swap.clear()
    for _ in range(100):
        await ask_in_vain(process, ids)
    await settle()
    held = store.num_held, len(process._spawned)
    store.may_swap.set()
    assert held == (1, 1)
    await until(lambda: not process._spawned)
    assert [(await store.stored(each)).ended for each in ids] == ["expired"] * 3
    assert process.metrics.registry.get_sample_value("rnn_sessions_ended_total", {"reason": "expired"}) == 3


async def test_who_looks_at_what_is_over_is_told_before_and_after_it_is_buried(
    process: Process, store: FaultyStore
) -> None:
    (session_id,) = await over(process, 1)
    store.may_swap.clear()
    for _ in range(3):
        with pytest.raises(SessionGone, match="is over: expired"):
            await process.sessions.get("ann", session_id)
    await until(lambda: store.num_held == 1)
    store.may_swap.set()
    await until(lambda: not process._spawned)
    assert (await store.stored(session_id)).ended == "expired"
    with pytest.raises(SessionGone, match="is over: expired"):
        await process.sessions.get("ann", session_id)


async def test_many_are_buried_some_at_a_time(process: Process, store: FaultyStore) -> None:
    ids = await over(process, 2 * BURIED_AT_ONCE + 1)
    store.swaps.clear()
    await ask_in_vain(process, ids)
    await until(lambda: not process._spawned)
    assert [len(swaps) for swaps in store.swaps] == [BURIED_AT_ONCE, BURIED_AT_ONCE, 1]
    assert (await store.count()).num_live == 0


async def test_who_finds_no_room_is_found_again(
    process: Process, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burials, "MAX_WAITING", 2)
    ids = await over(process, 5)
    await ask_in_vain(process, ids)
    await until(lambda: not process._spawned)
    assert (await store.count()).num_live == 3
    await ask_in_vain(process, ids[2:])
    await until(lambda: not process._spawned)
    assert (await store.count()).num_live == 1


async def test_a_store_that_is_down_is_logged_and_later_burials_go_on(
    process: Process, store: FaultyStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burials, "MAX_WAITING", 2)
    ids = await over(process, 2)
    store.may_swap.clear()
    for _ in range(2):
        await ask_in_vain(process, ids)
        await settle()
    store.is_down = True
    with caplog.at_level(logging.WARNING):
        store.may_swap.set()
        await until(lambda: not process._spawned)
    assert "expired sessions could not be removed and will be tried again: by a test" in caplog.messages
    store.is_down = False
    await ask_in_vain(process, ids)
    await until(lambda: not process._spawned)
    assert (await store.count()).num_live == 0
