"""Ids of sessions."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from service.record.ids import ID_BYTES, keyed_session_id, new_session_id


def test_ids_are_unique_and_begin_alike_when_issued_together() -> None:
    ids = {new_session_id(1000.0) for _ in range(1000)}
    assert len(ids) == 1000
    assert len({session_id[:6] for session_id in ids}) == 1
    assert min(new_session_id(1001.0), new_session_id(2000.0)) > max(ids)


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
