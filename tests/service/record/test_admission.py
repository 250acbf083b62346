"""Who may use a stored record."""

import pytest

from service.errors import SessionDamaged, SessionGone, SessionUnknown
from service.record.admission import Expired, admitted, check_lifetime, is_expired
from service.record.body import Body
from service.record.sequence_state import SequenceState
from service.stores.base import CHECKPOINT, Damaged, Record

RECORD = Record("id", "ann", "sum:0", 3, used_at=1000, ttl_seconds=10, body=b"state")


def test_a_live_record_is_its_owners() -> None:
    assert admitted(RECORD, "id", "ann", 1009.9) == RECORD


@pytest.mark.parametrize(
    ("record", "owner"),
    [(None, "ann"), (RECORD, "eve"), (RECORD._replace(ended=CHECKPOINT), "ann"), (RECORD._replace(ended="ended"), "e")],
)
def test_what_is_not_yours_does_not_exist(record: Record | None, owner: str) -> None:
    with pytest.raises(SessionUnknown):
        admitted(record, "id", owner, 1000)


@pytest.mark.parametrize("reason", ["ended", "expired", "evicted"])
def test_what_is_over_says_why(reason: str) -> None:
    with pytest.raises(SessionGone, match=reason) as refused:
        admitted(RECORD._replace(ended=reason, body=b""), "id", "ann", 1000)
    assert refused.value.members() == {"reason": reason}


def test_an_idle_record_is_expired_before_anybody_has_buried_it() -> None:
    assert not is_expired(RECORD, 1009.9)
    assert is_expired(RECORD, 1010)
    with pytest.raises(Expired) as refused:
        admitted(RECORD, "id", "ann", 1010)
    assert (refused.value.reason, refused.value.record) == ("expired", RECORD)


def test_a_session_expires_at_the_end_of_its_lifetime_however_it_is_used() -> None:
    body = Body(created_at=990, secret=b"s" * 16, state=SequenceState())
    check_lifetime(RECORD, body, 15, 1004.9)
    with pytest.raises(Expired, match="session 'id' is over: expired"):
        check_lifetime(RECORD, body, 15, 1005)


def test_a_damaged_record_is_never_served() -> None:
    with pytest.raises(SessionDamaged):
        admitted(Damaged("id", "cut"), "id", "ann", 1000)
