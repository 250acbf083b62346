"""Whether a key came with the same request before, in this version and in later ones."""

from service.forms.sessions import ForkRequest, SessionRequest
from service.sessions.idempotency import keyed_creation, keyed_fork, keyed_import, request_digest
from tests.fakes.process import NEW


class LaterRequest(ForkRequest):
    """The form in a version that knows more fields, the first of which comes before the others in the alphabet."""

    added: int | None = None
    more: bool = False


def test_a_field_that_is_added_with_a_default_keeps_the_digests() -> None:
    for fields in ({}, {"step": 3}, {"checkpoint": "here", "ttl_seconds": 5}):
        before, after = (request_digest("fork", form(**fields), "id") for form in (ForkRequest, LaterRequest))
        assert before == after
    assert request_digest("fork", LaterRequest(added=1), "id") != request_digest("fork", ForkRequest(), "id")


def test_each_thing_that_is_asked_for_has_its_own_digest() -> None:
    digests = [
        request_digest("fork", ForkRequest(), "id"),
        request_digest("fork", ForkRequest(), "other"),
        request_digest("session", ForkRequest(), "id"),
        request_digest("fork", ForkRequest(step=1), "id"),
        request_digest("fork", ForkRequest(ttl_seconds=1), "id"),
    ]
    assert len({*digests}) == len(digests)
    assert {len(digest) for digest in digests} == {32}


def test_what_is_set_to_its_default_is_what_is_left_out() -> None:
    assert request_digest("session", SessionRequest(model="sum", keep_inputs=False)) == request_digest("session", NEW)


def test_without_a_key_nothing_is_digested() -> None:
    assert keyed_creation("", NEW) is keyed_fork("", "id", ForkRequest()) is keyed_import("", b"blob") is None
