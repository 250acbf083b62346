"""How much a store takes."""

import pytest

from service.stores.base import Count
from service.stores.limits import Limits

LIMITS = Limits(max_sessions=5, max_bytes=100)


@pytest.mark.parametrize(
    ("taken", "new", "reason"),
    [
        (Count(4, 90), Count(1, 10), None),
        (Count(4, 90), Count(2, 10), "4 of 5 sessions live"),
        (Count(4, 90), Count(1, 11), "90 of 100 bytes are taken"),
        (Count(9, 999), Count(0, 0), None),
    ],
)
def test_new_records_find_room_within_the_limits(taken: Count, new: Count, reason: str | None) -> None:
    refusal = LIMITS.refusal(taken, new)
    assert (refusal and str(refusal)) == reason
    assert Limits().refusal(taken, new) is None
