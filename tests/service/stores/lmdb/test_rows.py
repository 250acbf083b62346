"""Records as rows."""

from hypothesis import given
from hypothesis import strategies as st

from service.record.ids import new_session_id
from service.stores.base import CHECKPOINT, Damaged, Record
from service.stores.lmdb.rows import (
    TAIL,
    Indexed,
    entry_minute_of,
    expiry_of,
    has_same_entries,
    has_tail,
    id_of,
    indexed_of,
    is_intact,
    key_of,
    step_of,
    to_record,
    to_rows,
    with_entry_minute,
)

A = new_session_id(1000.0)
U32 = st.integers(0, 2**32 - 1)
RECORDS = st.builds(
    Record,
    session_id=st.sampled_from([A, f"{A}~saved", "no id"]),
    owner=st.text(max_size=20),
    bundle=st.text(max_size=20),
    step=st.integers(0, 2**64 - 1),
    used_at=U32,
    ttl_seconds=U32,
    ended=st.sampled_from(["", "ended", CHECKPOINT]),
    body=st.integers(0, 10_000).map(bytes),
)


@given(RECORDS, U32)
def test_a_record_comes_back_and_its_head_tells_what_indexes_ask(record: Record, entry_minute: int) -> None:
    key = key_of(record.session_id)
    head, tail, _ = to_rows(key, record, entry_minute)
    assert to_record(key, record.session_id, head, tail) == to_record(key, None, head, tail) == record
    assert is_intact(key, head)
    assert (id_of(key, head), step_of(head), entry_minute_of(head)) == (record.session_id, record.step, entry_minute)
    assert expiry_of(head) == record.expires_at // 60
    assert has_tail(head) == bool(tail)
    assert indexed_of(head) == Indexed(
        None if record.ended == CHECKPOINT else record.owner.encode(),
        None if record.ended else record.bundle.encode(),
        None if record.ended else record.used_at // 60,
        entry_minute,
        len(record.body),
    )


@given(RECORDS, U32, RECORDS, U32)
def test_what_has_the_same_entries_is_indexed_alike(
    before: Record, entry_minute: int, after: Record, minute_after: int
) -> None:
    key = key_of(before.session_id)
    old = to_rows(key, before, entry_minute)
    new = to_rows(key, after._replace(session_id=before.session_id), minute_after)
    stepped = to_rows(key, before._replace(step=7), entry_minute)
    if has_same_entries(old.head, new):
        assert indexed_of(old.head) == indexed_of(new.head)
    assert has_same_entries(old.head, stepped)


@given(RECORDS, st.integers(0, 10**6), st.integers(1, 255))
def test_any_altered_byte_of_a_row_is_damage(record: Record, position: int, change: int) -> None:
    key = key_of(record.session_id)
    head, tail, _ = to_rows(key, record, 0)
    content = bytearray(head + tail)
    content[position % len(content)] ^= change
    altered = bytes(content)
    assert isinstance(to_record(key, record.session_id, altered[: len(head)], altered[len(head) :]), Damaged)


@given(RECORDS, st.integers(0, 12_000))
def test_a_cut_row_is_damage(record: Record, length: int) -> None:
    key = key_of(record.session_id)
    head, tail, _ = to_rows(key, record, 0)
    assert isinstance(to_record(key, record.session_id, head[: length % len(head)], tail), Damaged)
    if tail:
        assert isinstance(to_record(key, record.session_id, head, tail[: length % len(tail)]), Damaged)


@given(st.integers(2100, 20_000))
def test_a_tail_fills_its_pages(num_bytes: int) -> None:
    head, tail, _ = to_rows(key_of(A), Record(A, "ann", "echo:1", 0, 0, 0, "", bytes(num_bytes)), 0)
    assert len(head) < 2000
    assert (len(tail) + 16) % 4096 == 0 or len(head) < 100


def test_a_head_gets_another_entry_minute_without_another_change() -> None:
    record = Record(A, "ann", "echo:1", 3, 6000, 600, "", bytes(5000))
    head, tail, _ = to_rows(key_of(A), record, 1)
    again = with_entry_minute(key_of(A), head, 110)
    assert entry_minute_of(again) == 110
    assert to_record(key_of(A), None, again, tail) == record


@given(st.text())
def test_any_text_has_a_key(text: str) -> None:
    assert len(key_of(text)) == 21
    assert len(key_of(text) + TAIL) == 22


def test_keys_of_checkpoints_lie_beside_their_sessions() -> None:
    assert key_of(f"{A}~saved")[:5] == key_of(A)[:5]
    assert len({key_of(A), key_of(f"{A}~saved"), key_of(f"{A}~other"), key_of(A + "~")}) == 4
