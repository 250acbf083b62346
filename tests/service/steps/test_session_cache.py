"""What is remembered of the sessions that were committed last."""

from service.record.body import HEAD_BYTES, Body, decode, encode
from service.record.body_columns import next_heads
from service.record.sequence_state import SequenceState
from service.steps.session_cache import MAX_BYTES, CachedSession, GroupKey, SessionCache
from service.stores.base import Record

PLAIN = Body(1, b"s" * 16, SequenceState((b"row",), ("",), b"", 7), answer=b"{}", request_digest="ab")


def cached(session_id: str, body: Body = PLAIN, ends_at: int = 5000) -> CachedSession:
    ttl_seconds = min(60, ends_at - 1000)
    return CachedSession(Record(session_id, "ann", "sum:0", 1, 1000, ttl_seconds, "", b""), body, encode(body), ends_at)


def large(num_bytes: int) -> CachedSession:
    """A session whose body has so many bytes."""
    row = bytes(num_bytes - len(encode(PLAIN)) + len(PLAIN.state.row))
    return cached("large", PLAIN._replace(state=PLAIN.state._replace(rows=(row,))))


def test_a_session_is_there_until_it_is_taken() -> None:
    cache, one = SessionCache(2), cached("a")
    cache.put("a", one)
    assert cache.find("a") is one
    assert (cache.pop("a"), cache.pop("a"), cache.find("a"), len(cache)) == (one, None, None, 0)


def test_the_least_recently_used_are_forgotten_first() -> None:
    cache = SessionCache(2)
    for session_id in ("a", "b", "c"):
        cache.put(session_id, cached(session_id))
    assert [cache.find(session_id) is not None for session_id in ("a", "b", "c")] == [False, True, True]
    cache.put_all({session_id: cached(session_id) for session_id in ("d", "e", "f")})
    assert [cache.find(session_id) is not None for session_id in ("c", "d", "e", "f")] == [False, False, True, True]


def test_where_none_are_remembered_it_is_not_in_use() -> None:
    cache = SessionCache(0)
    cache.put("a", cached("a"))
    assert not cache.is_in_use
    assert len(cache) == 0


def test_a_large_session_is_not_kept_at_hand() -> None:
    cache = SessionCache(2)
    cache.put("just small enough", large(MAX_BYTES))
    cache.put("too large", large(MAX_BYTES + 1))
    assert cache.pop("just small enough") is not None
    assert cache.pop("too large") is None
    cache.put_all({"just small enough": large(MAX_BYTES), "too large": large(MAX_BYTES + 1)})
    assert cache.pop("just small enough") is not None
    assert cache.pop("too large") is None


def test_sessions_with_a_row_and_nothing_else_can_be_grouped() -> None:
    extra = len(b'{"request_digest":"ab"}')
    assert cached("a").group_key == cached("b").group_key == GroupKey("ann", "sum:0", 60, extra)
    state = PLAIN.state
    for more in (
        PLAIN._replace(inputs=b""),
        PLAIN._replace(before=state),
        PLAIN._replace(state=state._replace(pending=b"p")),
        PLAIN._replace(state=state._replace(labels=("OT",))),
        PLAIN._replace(state=state._replace(rows=(b"one", b"two"), labels=("a", "b"))),
    ):
        assert cached("a", more).group_key is None


def test_after_a_step_it_is_what_was_written() -> None:
    one = cached("a")
    before = one.record, one.body
    (head,) = next_heads([one.head], 5, [b"d" * 16], [b'{"argmax":[1]}'], [one.extra])
    one.advance(1007, one.ttl_seconds_at(1007), head.tobytes()[:HEAD_BYTES], b'{"argmax":[1]}', b"new")
    written = head.tobytes() + b"new"
    assert before == (Record("a", "ann", "sum:0", 1, 1000, 60, "", b""), PLAIN)
    assert one.record == Record("a", "ann", "sum:0", 2, 1007, 60, "", b"")
    assert one.body == decode(written)
    assert one.body.state == SequenceState((b"new",), ("",), b"", 12)
    assert (one.step, one.used_at, one.num_bytes) == (2, 1007, len(written))
    assert (one.expires_at, one.ends_at) == (one.record.expires_at, 5000)


def test_it_goes_alone_once_the_end_of_its_life_comes_into_sight_and_until_its_body_tells_how_long_it_may_be_idle() -> (
    None
):
    uncut, cut = cached("a", ends_at=1100), cached("b", PLAIN._replace(idle_seconds=60), ends_at=1050)
    assert (uncut.no_cohort_from, cut.no_cohort_from) == (1040, 1050)
    assert [cut.ttl_seconds_at(now) for now in (1007, 1049, 1051)] == [43, 1, 0]
    cut.advance(1049, 1, cut.head, b"{}", b"new")
    assert (cut.expires_at, cut.record.ttl_seconds, cut.body.idle_seconds) == (1050, 1, 60)
    assert cut.group_key == GroupKey("ann", "sum:0", 60, len(cut.extra))
