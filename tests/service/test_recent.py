"""What is remembered of the sessions that were committed last."""

from service.body import Body
from service.recent import MAX_BYTES, Latest, Recent
from service.state import SequenceState
from service.stores.base import Record


def latest(session_id: str, step: int = 1) -> Latest:
    return Latest(Record(session_id, "ann", "sum:0", step, 1000, 60, "", b""), Body(1, b"s" * 16, SequenceState()))


def test_a_session_is_there_until_it_is_taken() -> None:
    recent = Recent(2)
    recent.put(latest("a"), 10)
    assert recent.take("a") == latest("a")
    assert recent.take("a") is None


def test_the_least_recently_used_is_forgotten_first() -> None:
    recent = Recent(2)
    for session_id in ("a", "b", "c"):
        recent.put(latest(session_id), 10)
    assert [recent.take(session_id) is not None for session_id in ("a", "b", "c")] == [False, True, True]


def test_a_large_session_is_not_kept_at_hand() -> None:
    recent = Recent(2)
    recent.put(latest("small"), MAX_BYTES)
    recent.put(latest("large"), MAX_BYTES + 1)
    assert recent.take("small") is not None
    assert recent.take("large") is None
