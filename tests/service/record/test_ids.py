"""Ids of sessions."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.record.ids import ID_BYTES, TIME_BYTES, bytes_of, id_from, keyed_session_id, new_session_id


def test_ids_are_unique_and_begin_alike_when_issued_together() -> None:
    ids = {new_session_id(1000.0) for _ in range(1000)}
    assert len(ids) == 1000
    assert len({session_id[:6] for session_id in ids}) == 1
    assert min(new_session_id(1001.0), new_session_id(2000.0)) > max(ids)


def test_ids_of_one_tick_are_random_in_every_byte_but_those_of_the_time() -> None:
    now = 1000 + 1 / 256
    contents = [base64.urlsafe_b64decode(new_session_id(now)) for _ in range(1000)]
    assert [len(set(column)) > 1 for column in zip(*contents, strict=True)] == [False] * TIME_BYTES + [True] * 16
    ticks = [int.from_bytes(base64.urlsafe_b64decode(new_session_id(each))[:TIME_BYTES]) for each in (1000.0, now)]
    assert ticks == [256_000, 256_001]


@given(st.floats(0, 2**33))
def test_an_id_is_28_characters_that_need_no_escape(now: float) -> None:
    session_id = new_session_id(now)
    assert len(session_id) == 28
    assert session_id.replace("-", "a").replace("_", "a").isalnum()
    assert len(base64.urlsafe_b64decode(session_id)) == ID_BYTES


def test_a_key_stands_for_one_id_of_one_owner_and_cannot_be_guessed_without_the_secret() -> None:
    asked = [("ann", "k"), ("ann", "k2"), ("eve", "k"), ("an", "nk"), ("", "annk")]
    assert len({keyed_session_id(b"secret", owner, key) for owner, key in asked}) == len(asked)
    assert keyed_session_id(b"secret", "ann", "k") == keyed_session_id(b"secret", "ann", "k")
    assert keyed_session_id(b"secret", "ann", "k") != keyed_session_id(b"other", "ann", "k")


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES))
def test_an_id_is_read_as_it_was_written(content: bytes) -> None:
    assert bytes_of(id_from(content)) == content


@pytest.mark.parametrize(
    "spoil",
    [
        lambda session_id: session_id[:-1],
        lambda session_id: f"{session_id}AAAA",
        lambda session_id: f"{session_id[:-1]}=",
        lambda session_id: f"{session_id[:-2]}==",
        lambda session_id: f"+{session_id[1:]}",
        lambda session_id: f"/{session_id[1:]}",
        lambda session_id: f"\u00e9{session_id[1:]}",
        lambda session_id: f"{session_id[:-1]} ",
        lambda session_id: f"{session_id[:-1]}\n",
    ],
)
def test_any_other_spelling_is_no_id(spoil: Callable[[str], str]) -> None:
    assert bytes_of(spoil(id_from(bytes(ID_BYTES)))) is None
