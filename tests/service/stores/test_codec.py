"""Sessions as bytes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.state import SequenceState
from service.stores.codec import RecordDamaged, SessionBody, decode, encode

L, H = 2, 7
ROW = {"h": np.arange(L * H, dtype=np.float32).reshape(L, H), "scale": np.array(0.1), "count": np.array([3])}
BODY = SessionBody(
    model="forecasting",
    bundle="forecasting:0123",
    ttl_seconds=60,
    secret="chance",
    state=SequenceState(rows=(ROW, {name: value * 2 for name, value in ROW.items()}), labels=("OT", "ü"), position=48),
)


def test_a_session_survives_its_encoding() -> None:
    body = replace(BODY, state=replace(BODY.state, pending=b"\x00\xff"), last_digest="d", last_answer=b'{"a":1}')
    decoded = decode(encode(body))
    assert replace(decoded, state=SequenceState()) == replace(body, state=SequenceState())
    assert (decoded.state.labels, decoded.state.pending, decoded.state.position) == (("OT", "ü"), b"\x00\xff", 48)
    for before, after in zip(body.state.rows, decoded.state.rows, strict=True):
        for name, values in before.items():
            assert (after[name].dtype, after[name].shape) == (values.dtype, values.shape)
            np.testing.assert_array_equal(after[name], values)


def test_the_state_before_the_last_step_survives_too() -> None:
    before = replace(BODY.state, rows=BODY.state.rows[:1], labels=("OT",), pending=b"7", position=24)
    decoded = decode(encode(replace(BODY, before=before)))
    assert decoded.before is not None
    assert (decoded.before.labels, decoded.before.pending, decoded.before.position) == (("OT",), b"7", 24)
    np.testing.assert_array_equal(decoded.before.row["h"], ROW["h"])
    np.testing.assert_array_equal(decoded.state.rows[1]["h"], ROW["h"] * 2)


def test_a_session_without_rows_survives_too() -> None:
    body = replace(BODY, state=SequenceState())
    assert decode(encode(body)) == body


@given(st.integers(0, len(encode(BODY)) - 1), st.integers(1, 255))
def test_any_altered_byte_is_an_error_and_never_another_state(position: int, change: int) -> None:
    content = bytearray(encode(BODY))
    content[position] ^= change
    with pytest.raises(RecordDamaged):
        decode(bytes(content))


@given(st.integers(0, len(encode(BODY)) - 1))
def test_a_cut_record_is_an_error(length: int) -> None:
    with pytest.raises(RecordDamaged):
        decode(encode(BODY)[:length])
