"""The state of a sequence goes on with its items."""

from service.record.sequence_state import SequenceState


def test_advancing_counts_items_and_keeps_what_is_pending() -> None:
    before = SequenceState(rows=(b"first",), labels=("",), pending=b"wond", position=5)
    after = before.advanced(b"second", 3)
    assert after == SequenceState((b"second",), ("",), b"wond", 8)
    assert before.position == 5
    assert after.row == b"second"
