"""What one process knows of how full the store is."""

from service.stores.base import Count
from service.stores.limits import Limits
from service.stores.redis_room import STALE_SECONDS, Room


def test_counts_are_stale_until_they_have_been_read_and_a_while_after() -> None:
    room = Room(Limits(5, 100))
    assert room.is_stale(0.0)
    room.learn(Count(1, 10), now=7.0)
    assert not room.is_stale(7.0 + STALE_SECONDS / 2)
    assert room.is_stale(7.0 + STALE_SECONDS)


def test_own_changes_count_at_once() -> None:
    room = Room(Limits(5, 100))
    room.learn(Count(4, 10), now=7.0)
    assert room.refusal(Count(1, 10)) is None
    room.add(1, 10)
    assert str(room.refusal(Count(1, 10))) == "5 of 5 sessions live"
    room.add(-1, 80)
    assert str(room.refusal(Count(1, 11))) == "100 of 100 bytes are taken"


def test_nothing_new_always_finds_room() -> None:
    room = Room(Limits(5, 100))
    room.learn(Count(9, 999), now=7.0)
    assert room.refusal(Count(0, 0)) is None


def test_a_write_whose_outcome_is_unknown_makes_the_counts_stale() -> None:
    room = Room(Limits(5, 100))
    room.learn(Count(1, 10), now=7.0)
    room.forget()
    assert room.is_stale(7.0)
