"""Whether a key came with the same request before, in this version and in others."""

import hashlib

import orjson
import pytest

from service.errors import IdempotencyMismatch
from service.forms.sessions import ForkRequest, SessionRequest
from service.record.body import decode, encode
from service.sessions.idempotency import keyed_creation, keyed_fork, keyed_import, request_digest
from tests.fakes.process import NEW, Process
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


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


def older(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


async def keep_digest(store: FaultyStore, session_id: str, digest: str) -> None:
    """Let a session have the digest that another version gave its request."""
    body = decode((await store.stored(session_id)).body)
    await store.change(session_id, body=encode(body._replace(request_digest=digest)))


async def test_keys_of_versions_whose_digests_had_all_fields_are_known(process: Process, store: FaultyStore) -> None:
    opened = await process.openings.create("ann", NEW, "key")
    forked = await process.transfers.fork("ann", opened.session_id, ForkRequest(step=0), "other key")
    fields = orjson.dumps({"model": "sum", "ttl_seconds": None, "keep_inputs": False}, option=orjson.OPT_SORT_KEYS)
    await keep_digest(store, opened.session_id, older(b"SessionRequest" + fields))
    fork = f"{opened.session_id}ForkRequest(checkpoint=None, step=0, ttl_seconds=None)"
    await keep_digest(store, forked.session_id, older(fork.encode()))
    assert await process.openings.create("ann", NEW, "key") == opened
    assert await process.transfers.fork("ann", opened.session_id, ForkRequest(step=0), "other key") == forked
    with pytest.raises(IdempotencyMismatch):
        await process.openings.create("ann", SessionRequest(model="sum", keep_inputs=True), "key")
    with pytest.raises(IdempotencyMismatch):
        await process.transfers.fork("ann", opened.session_id, ForkRequest(), "other key")
