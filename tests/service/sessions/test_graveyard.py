"""Which checkpoints a session's record lists, and how many records are cleared at a time."""

import asyncio
import logging

import pytest

from service.metrics import Metrics
from service.record.body import Body, encode
from service.record.sequence_state import SequenceState
from service.sessions.graveyard import BURIED_AT_ONCE, Graveyard, checkpoint_ids, listed
from service.stores.base import CHECKPOINT, Record
from tests.fakes.clock import Clock
from tests.fakes.stores import FaultyStore

RECORD = Record("id", "ann", "sum:0", 3, used_at=1000, ttl_seconds=10)


def test_each_checkpoint_has_the_id_of_its_own_record() -> None:
    body = Body(1, bytes(16), SequenceState(), checkpoints=("start~3", "end~12"))
    assert checkpoint_ids(RECORD._replace(body=encode(body))) == ["id~start~3", "id~end~12"]


def test_a_tombstone_has_none_and_is_not_taken_for_damage(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert checkpoint_ids(RECORD._replace(ended="expired")) == []
    assert not caplog.records


def test_a_record_that_cannot_be_read_has_none_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert checkpoint_ids(RECORD._replace(body=b"\x09")) == []
    assert "session id" in caplog.text


def test_a_record_that_cannot_be_read_may_list_any_of_its_own() -> None:
    assert listed(RECORD._replace(body=b"\x09"), {"id~start~3", "other~start~3"}) == {"id~start~3"}


@pytest.mark.anyio
@pytest.mark.parametrize("ended", ["", CHECKPOINT])
async def test_others_run_while_many_are_cleared(ended: str) -> None:
    store = FaultyStore(is_immediate=True)
    graveyard = Graveyard(store, Metrics(), 60, Clock(), lambda _: None)
    overdue = [RECORD._replace(session_id=f"{n}~a~0", ended=ended) for n in range(3 * BURIED_AT_ONCE)]
    clearing = asyncio.ensure_future(graveyard.clear(overdue, 2000))
    num_calls = []
    while not clearing.done():
        num_calls.append(len(store.swaps) + len(store.loads))
        await asyncio.sleep(0)
    assert num_calls == [0, 1, 2, 3]
