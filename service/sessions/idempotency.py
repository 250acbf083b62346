"""Idempotency keys: whether a key came with the same request before.

A digest covers only the fields that a client has set, so it stays the same in a later version with more fields.
"""

import hashlib
from typing import NamedTuple

import orjson
from pydantic import BaseModel

from service.forms.sessions import ForkRequest, SessionRequest


class Keyed(NamedTuple):
    """A key and the digest of the request that it came with.

    Attributes:
        key: As the client sent it.
        digest: Hexadecimal digest of the request.
        older_digest: The digest that earlier versions stored for the same request, which included defaults.
    """

    key: str
    digest: str
    older_digest: str

    def came_with(self, digest: str) -> bool:
        """Whether a stored digest is that of the same request."""
        return digest in (self.digest, self.older_digest)


def request_digest(kind: str, request: BaseModel, *context: str) -> str:
    """Return the digest of a request.

    Args:
        kind: Kind of request; two kinds never share a digest.
        request: The fields; those with their default value are left out.
        context: Further parts of the request, such as the session's id.
    """
    asked = [kind, *context, request.model_dump(exclude_defaults=True)]
    return _hexadecimal(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))


def keyed_creation(key: str, request: SessionRequest) -> Keyed | None:
    """Return the key of a request for a new session, or None without a key."""
    if not key:
        return None
    fields = {"keep_inputs": request.keep_inputs, "model": request.model, "ttl_seconds": request.ttl_seconds}
    older = b"SessionRequest" + orjson.dumps(fields)
    return Keyed(key, request_digest("session", request), _hexadecimal(older))


def keyed_fork(key: str, session_id: str, request: ForkRequest) -> Keyed | None:
    """Return the key of a request to fork a session, or None without a key."""
    if not key:
        return None
    fields = f"checkpoint={request.checkpoint!r}, step={request.step!r}, ttl_seconds={request.ttl_seconds!r}"
    older = f"{session_id}ForkRequest({fields})".encode()
    return Keyed(key, request_digest("fork", request, session_id), _hexadecimal(older))


def keyed_import(key: str, blob: bytes) -> Keyed | None:
    """Return the key of a request to import a session, or None without a key."""
    if not key:
        return None
    digest = _hexadecimal(blob)
    return Keyed(key, digest, digest)


def _hexadecimal(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
