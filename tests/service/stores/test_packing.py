"""Records as bytes: whatever is altered, nothing is read as something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stores.base import CHECKPOINT, Damaged, Record
from service.stores.packing import STEP, STEP_OFFSET, pack, unpack

RECORD = Record("an id", "ann", "sum:12", 7, 1_700_000_000, 3600, "", b"state")
RECORDS = st.builds(
    Record,
    session_id=st.text(max_size=30),
    owner=st.text(max_size=60),
    bundle=st.text(max_size=60),
    step=st.integers(0, 2**64 - 1),
    used_at=st.integers(0, 2**32 - 1),
    ttl_seconds=st.integers(0, 2**32 - 1),
    ended=st.sampled_from(["", "ended", CHECKPOINT]),
    body=st.binary(max_size=50),
)


@given(RECORDS)
def test_a_record_survives_its_packing(record: Record) -> None:
    content = pack(record)
    assert unpack(record.session_id, content) == record
    assert STEP.unpack_from(content, STEP_OFFSET) == (record.step,)


@pytest.mark.parametrize("position", range(len(pack(RECORD))))
def test_any_altered_byte_is_damage_and_never_another_record(position: int) -> None:
    content = bytearray(pack(RECORD))
    for change in range(1, 256):
        content[position] = pack(RECORD)[position] ^ change
        assert isinstance(unpack("an id", bytes(content)), Damaged)


@given(st.integers(0, len(pack(RECORD)) - 1))
def test_a_cut_record_is_damage(length: int) -> None:
    damaged = unpack("an id", pack(RECORD)[:length])
    assert isinstance(damaged, Damaged)
    assert damaged.session_id == "an id"


def test_a_record_under_anothers_id_is_damage() -> None:
    assert isinstance(unpack("another id", pack(RECORD)), Damaged)


@pytest.mark.parametrize("change", [{"owner": "o" * 256}, {"bundle": "b" * 256}, {"step": -1}, {"used_at": 2**32}])
def test_what_does_not_fit_is_refused_before_it_is_stored(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be packed"):
        pack(RECORD._replace(**change))
