"""Sessions' bodies as bytes, and those that version 1 wrote."""

import hashlib
from collections.abc import Mapping

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.stage import StateSpec
from service.engine.state import Array, RowLayout
from service.record.body import NO_DIGEST, NUMERICS_UNKNOWN, Body, BodyUnreadable, decode, encode, with_creation_time
from service.record.digest import inputs_digest
from service.record.sequence_state import SequenceState
from tests.fakes.body_v1 import SessionBodyV1, StateV1, encode_v1

L, H = 2, 7
SECRET = bytes(range(16))


def states(max_rows: int = 3) -> st.SearchStrategy[SequenceState]:
    """States whose rows, as all rows of a bundle are, are equally long; a row has a label."""

    def of(num_rows: int, length: int) -> st.SearchStrategy[SequenceState]:
        rows = st.tuples(*[st.binary(min_size=length, max_size=length)] * num_rows)
        labels = st.tuples(*[st.text(max_size=4)] * num_rows)
        return st.builds(SequenceState, rows, labels, st.binary(max_size=9), st.integers(0, 2**64 - 1))

    return st.tuples(st.integers(0, max_rows), st.integers(0, 40)).flatmap(lambda form: of(*form))


BODIES = st.builds(
    Body,
    created_at=st.integers(1, 2**32 - 1),
    secret=st.binary(min_size=16, max_size=16),
    state=states(),
    numerics=st.binary(min_size=8, max_size=8),
    digest=st.binary(min_size=16, max_size=16),
    answer=st.binary(max_size=20),
    before=st.none() | states(),
    inputs=st.none() | st.binary(max_size=20),
    checkpoints=st.lists(st.text("ab._-", min_size=1), max_size=3).map(tuple),
    request_digest=st.text("0123456789abcdef", max_size=32),
    idle_seconds=st.integers(0, 2**31 - 1),
)


@given(BODIES)
def test_a_body_survives_its_encoding(body: Body) -> None:
    assert decode(encode(body)) == body


@pytest.mark.parametrize("labels", [(), ("",), ("", ""), ("OT", "ü"), ("x",)])
def test_labels_that_need_no_bytes_come_back_too(labels: tuple[str, ...]) -> None:
    state = SequenceState((b"abcd",) * len(labels), labels, b"", 3)
    body = Body(1, SECRET, state, before=state._replace(pending=b"p"))
    assert decode(encode(body)) == body


def test_nothing_kept_differs_from_kept_nothing() -> None:
    body = Body(1, SECRET, SequenceState())
    assert decode(encode(body)).inputs is None
    assert decode(encode(body._replace(inputs=b""))).inputs == b""


def test_a_body_is_little_more_than_its_row() -> None:
    body = Body(1, SECRET, SequenceState((bytes(4096),), ("",), b"", 9), answer=b"x" * 100)
    assert len(encode(body)) <= 4096 + 100 + 84


WRITTEN = bytes.fromhex(
    "0201020000f1536530000000000000006e756d6572696373000102030405060708090a0b0c0d0e0f1011121314151617"
    "18191a1b1c1d1e1f0b00000002000000000000004300000004000000160000005b224f54222c22c3bc225d01027b2263"
    "6865636b706f696e7473223a5b2273746172747e33225d2c22726571756573745f646967657374223a223061222c2269"
    "646c655f7365636f6e6473223a36307d6b65707401002f00000000000000000000000100000003676869616263646566"
)


def test_a_body_in_a_store_is_read_and_written_as_it_always_was() -> None:
    body = Body(
        created_at=1_700_000_000,
        secret=SECRET,
        state=SequenceState((b"abc", b"def"), ("OT", "ü"), b"\x01\x02", 48),
        numerics=b"numerics",
        digest=bytes(range(16, 32)),
        answer=b"",
        before=SequenceState((b"ghi",), ("",), b"\x03", 47),
        inputs=b"kept",
        checkpoints=("start~3",),
        request_digest="0a",
        idle_seconds=60,
    )
    assert decode(WRITTEN) == body
    assert encode(body) == WRITTEN


@pytest.mark.parametrize("content", [b"", b"\x02", b"\x03" + bytes(200), b"URSA" + bytes(200), bytes(200)])
def test_bytes_of_no_known_version_are_unreadable(content: bytes) -> None:
    with pytest.raises(BodyUnreadable, match="versions 1 and 2 are known"):
        decode(content)


SPECS = (
    StateSpec(name="h", dtype="float32", shape=(L, "N", H), initial=0.0),
    StateSpec(name="scale", dtype="float64", shape=("N",), initial=0.0),
    StateSpec(name="count", dtype="int64", shape=("N", 1), initial=0.0),
)


def row_v1(factor: int) -> Mapping[str, Array]:
    h = np.arange(L * H, dtype=np.float32).reshape(L, H) * factor
    return {"h": h, "scale": np.array(0.5 * factor), "count": np.array([3 * factor])}


OLD = SessionBodyV1(
    model="forecasting",
    bundle="forecasting:0123",
    ttl_seconds=60,
    secret=SECRET.hex(),
    state=StateV1((row_v1(1), row_v1(2)), ("OT", "ü"), b"\x00\xff", 48),
    last_digest=hashlib.sha256(orjson.dumps({"text": "abc"})).hexdigest(),
    last_answer=b'{"a":1}',
)


def test_a_body_of_version_1_goes_on_with_its_state_secret_and_last_answer() -> None:
    body = decode(encode_v1(OLD))
    assert (body.secret, body.answer, body.before) == (SECRET, b'{"a":1}', None)
    assert (body.state.labels, body.state.pending, body.state.position) == (("OT", "ü"), b"\x00\xff", 48)
    layout = RowLayout(SPECS)
    for row, factor in zip(body.state.rows, (1, 2), strict=True):
        assert len(row) == layout.num_bytes
        for name, values in row_v1(factor).items():
            np.testing.assert_array_equal(layout.tensor(row, name), values)


def test_the_last_step_of_version_1_can_be_repeated() -> None:
    assert decode(encode_v1(OLD)).digest == inputs_digest({"text": "abc"})


def test_the_state_before_the_last_step_of_version_1_is_read_too() -> None:
    old = SessionBodyV1("m", "m:1", 60, SECRET.hex(), OLD.state, before=StateV1((row_v1(3),), ("OT",), b"7", 24))
    body = decode(encode_v1(old))
    before = body.before
    assert (body.state.labels, body.state.position) == (("OT", "ü"), 48)
    assert before is not None
    assert (before.labels, before.pending, before.position) == (("OT",), b"7", 24)
    np.testing.assert_array_equal(RowLayout(SPECS).tensor(before.row, "h"), row_v1(3)["h"])


def test_a_body_of_version_1_is_written_as_the_present_one() -> None:
    body = with_creation_time(decode(encode_v1(OLD)), 1234)
    assert encode(body)[0] == 2
    assert decode(encode(body)) == body
    assert body.created_at == 1234
    assert with_creation_time(body, 9999) == body


def test_a_fresh_session_of_version_1_has_neither_digest_nor_numerics() -> None:
    body = decode(encode_v1(SessionBodyV1("m", "m:1", 60, SECRET.hex())))
    assert (body.state, body.digest, body.numerics) == (SequenceState(), NO_DIGEST, NUMERICS_UNKNOWN)
