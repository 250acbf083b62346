"""The earlier of two ends, and what is kept of the other."""

import pytest

from service.record.body import Body
from service.record.expiry import idle_seconds_of, kept_idle_seconds, ttl_seconds_at
from service.record.sequence_state import SequenceState
from service.stores.base import Record

RECORD = Record("a", "ann", "sum:0", 1, 1000, 60)
BODY = Body(1, b"s" * 16, SequenceState())


@pytest.mark.parametrize(("now", "ttl_seconds", "kept"), [(1000, 60, 0), (1040, 60, 0), (1041, 59, 60), (1101, 0, 60)])
def test_a_record_lives_until_its_session_is_idle_for_too_long_or_has_lived_its_life(
    now: int, ttl_seconds: int, kept: int
) -> None:
    assert ttl_seconds_at(now, 60, 1100) == ttl_seconds
    assert kept_idle_seconds(RECORD, BODY, 1100, now) == kept


def test_what_is_kept_is_how_long_a_session_may_be_idle_for_good() -> None:
    assert idle_seconds_of(RECORD, BODY) == 60
    assert idle_seconds_of(RECORD, BODY._replace(idle_seconds=77)) == 77
    for ends_at in (1001, 1100, 9999):
        assert kept_idle_seconds(RECORD, BODY._replace(idle_seconds=77), ends_at, 1000) == 77
