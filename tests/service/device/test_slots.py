"""Which row lies in which slot, and which are forgotten."""

import pytest

from service.device.slots import SlotRing


def filled(num_slots: int, *rows: bytes, pinned: tuple[bytes, ...] = ()) -> SlotRing:
    ring = SlotRing(num_slots, pinned)
    put(ring, *rows)
    return ring


def put(ring: SlotRing, *rows: bytes) -> int:
    start = ring.claim(len(rows))
    ring.fill(start, rows)
    return start


def test_rows_are_found_where_they_were_put() -> None:
    ring = filled(5, b"a", b"b", b"c")
    assert ring.find([b"c", b"a", b"a"]) == [2, 0, 0]


def test_rows_are_found_all_or_not_at_all() -> None:
    assert filled(5, b"a").find([b"a", b"b"]) is None


def test_the_oldest_are_overwritten() -> None:
    ring = filled(5, b"a", b"b", b"c")
    put(ring, b"d", b"e")
    put(ring, b"f", b"g")
    assert ring.find([b"a"]) is ring.find([b"b"]) is None
    assert ring.find([b"c", b"d", b"e", b"f", b"g"]) == [2, 3, 4, 0, 1]


def test_a_batch_is_never_cut_in_two() -> None:
    ring = filled(5, b"a", b"b", b"c")
    assert put(ring, b"d", b"e", b"f") == 0
    assert len(ring) == 3


def test_claimed_slots_that_are_not_filled_hold_nothing_and_are_claimed_again() -> None:
    ring = filled(5, b"a", b"b", b"c", b"d")
    assert ring.claim(2) == 0
    assert ring.find([b"a"]) is None
    assert ring.find([b"c"]) == [2]
    assert ring.claim(2) == 0


def test_a_row_that_was_put_twice_is_known_until_its_newer_slot_goes() -> None:
    ring = filled(4, b"a", b"b")
    put(ring, b"a", b"c")
    put(ring, b"d", b"e")
    assert ring.find([b"a"]) == [2]


def test_a_pinned_row_stays() -> None:
    ring = filled(4, b"a", b"b", b"c", pinned=(b"first",))
    put(ring, b"d", b"e", b"f")
    assert ring.find([b"first", b"d"]) == [0, 1]


def test_more_than_the_pool_has_cannot_be_claimed() -> None:
    with pytest.raises(ValueError, match="4 slots were asked for, of 3"):
        SlotRing(4, [b"first"]).claim(4)
