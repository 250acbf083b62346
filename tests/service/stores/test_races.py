"""Several processes at the same records, on every backend that processes can share."""

import asyncio
from collections import Counter
from itertools import product

import pytest

from service.record.ids import new_session_id
from service.settings import SessionSettings
from service.stores.base import Count, Record
from service.stores.connect import open_store
from tests.service.stores.conftest import SHARED, Provided
from tests.service.stores.processes import Worker
from tests.service.stores.worker import NUM_STEPS, body_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("provided", SHARED, indirect=True)]

NUM_WORKERS = 4
IDS = [new_session_id(1000.0 + n) for n in range(9)]


async def test_each_step_is_won_once_and_the_counts_are_right(provided: Provided) -> None:
    workers = [Worker("race", provided, IDS, str(n)) for n in range(NUM_WORKERS)]
    for each in workers:
        each.wait_until_ready()
    for each in workers:
        each.start()
    wins = {name: await asyncio.to_thread(workers[name].finish) for name in range(NUM_WORKERS)}
    winners = {win: str(name) for name in wins for win in wins[name]}
    assert Counter(win for name in wins for win in wins[name]) == Counter(product(IDS, range(NUM_STEPS)))
    assert len(set(winners.values())) > 1, "nobody raced"
    store = open_store(SessionSettings(**provided))
    bodies = [body_of(each, NUM_STEPS - 1, winners[each, NUM_STEPS - 1]) for each in IDS]
    assert [record.body for record in await store.load(IDS) if isinstance(record, Record)] == bodies
    assert await store.count() == Count(len(IDS), sum(map(len, bodies)))
    assert await store.bundles() == {"echo:1": len(IDS)}
    await store.close()


async def test_a_note_is_kept_once(provided: Provided) -> None:
    first = open_store(SessionSettings(**provided))
    assert await first.note_once("secret", b"one") == b"one"
    await first.close()
    second = open_store(SessionSettings(**provided))
    assert await second.note_once("secret", b"two") == b"one"
    await second.close()
