"""Which checkpoints a session's record lists."""

import logging

import pytest

from service.record.body import Body, encode
from service.record.sequence_state import SequenceState
from service.sessions.graveyard import checkpoint_ids
from service.stores.base import Record

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
